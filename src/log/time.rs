//! Wall-clock times as log lines have them: local time as HAProxy writes it, UTC
//! in JSON.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{Offset, TimeZone};

use super::text::padded;

/// Renders times; remembers the seconds it rendered last.
#[derive(Debug)]
pub(super) struct Clock {
    zone: TimeZone,
    /// Wall clock less the clock of the process, in microseconds.
    offset_us: i64,
    /// `20/Nov/2026:15:26:01`, by the last digits of the second: records of a few
    /// seconds come mixed.
    rendered: [(i64, [u8; 20]); 8],
}

impl Clock {
    pub(super) fn new() -> Self {
        Self {
            zone: TimeZone::system(),
            offset_us: 0,
            rendered: [(i64::MIN, [0; 20]); 8],
        }
    }

    /// Follows the wall clock; `origin` is the zero of the process's.
    pub(super) fn correct(&mut self, origin: Instant) {
        self.offset_us = unix_us(SystemTime::now()) - origin.elapsed().as_micros() as i64;
    }

    /// `20/Nov/2026:15:26:01.642`, local, of a time on the clock of the process.
    pub(super) fn haproxy(&mut self, out: &mut Vec<u8>, us: u64) {
        let unix_ms = (us as i64 + self.offset_us).div_euclid(1000);
        let second = unix_ms.div_euclid(1000);
        let slot = second.rem_euclid(8) as usize;
        if self.rendered[slot].0 != second {
            let local = civil(&self.zone, second);
            let mut text = Vec::with_capacity(20);
            padded(&mut text, local.day() as u64, 2);
            text.push(b'/');
            text.extend_from_slice(month(local));
            text.push(b'/');
            padded(&mut text, local.year() as u64, 4);
            text.push(b':');
            time(&mut text, local);
            let mut fixed = [b' '; 20];
            fixed.copy_from_slice(&text[..20]);
            self.rendered[slot] = (second, fixed);
        }
        out.extend_from_slice(&self.rendered[slot].1);
        out.push(b'.');
        padded(out, unix_ms.rem_euclid(1000) as u64, 3);
    }

    /// `2026-11-20T15:26:01.642Z`, of a time on the clock of the process.
    pub(super) fn rfc3339(&self, out: &mut Vec<u8>, us: u64) {
        rfc3339(out, us as i64 + self.offset_us);
    }

    /// `Nov 20 15:26:01`, local, now (RFC 3164 4.1.2).
    pub(super) fn syslog(&self, out: &mut Vec<u8>) {
        syslog(&self.zone, out);
    }
}

/// `2026-11-20T15:26:01.642Z`, now.
pub(super) fn now_rfc3339(out: &mut Vec<u8>) {
    rfc3339(out, unix_us(SystemTime::now()));
}

/// `Nov 20 15:26:01`, local, now; the zone is looked up, which jiff remembers.
pub(super) fn now_syslog(out: &mut Vec<u8>) {
    syslog(&TimeZone::system(), out);
}

fn rfc3339(out: &mut Vec<u8>, unix_us: i64) {
    let utc = Offset::UTC.to_datetime(at(unix_us.div_euclid(1_000_000)));
    padded(out, utc.year() as u64, 4);
    out.push(b'-');
    padded(out, utc.month() as u64, 2);
    out.push(b'-');
    padded(out, utc.day() as u64, 2);
    out.push(b'T');
    time(out, utc);
    out.push(b'.');
    padded(out, unix_us.rem_euclid(1_000_000) as u64 / 1000, 3);
    out.push(b'Z');
}

fn syslog(zone: &TimeZone, out: &mut Vec<u8>) {
    let local = civil(zone, unix_us(SystemTime::now()).div_euclid(1_000_000));
    out.extend_from_slice(month(local));
    out.push(b' ');
    // A day below 10 has a blank in front, not a zero.
    if local.day() < 10 {
        out.push(b' ');
        padded(out, local.day() as u64, 1);
    } else {
        padded(out, local.day() as u64, 2);
    }
    out.push(b' ');
    time(out, local);
}

fn civil(zone: &TimeZone, second: i64) -> DateTime {
    zone.to_datetime(at(second))
}

/// A clock set to before year -9999 shows the epoch.
fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time(out: &mut Vec<u8>, civil: DateTime) {
    padded(out, civil.hour() as u64, 2);
    out.push(b':');
    padded(out, civil.minute() as u64, 2);
    out.push(b':');
    padded(out, civil.second() as u64, 2);
}

fn month(civil: DateTime) -> &'static [u8] {
    const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let at = usize::try_from(civil.month() - 1).unwrap_or(0) * 3;
    &MONTHS[at..at + 3]
}

fn unix_us(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_micros() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(zone: &str, offset_us: i64) -> Clock {
        Clock {
            zone: TimeZone::fixed(zone.parse::<i8>().map(Offset::constant).unwrap()),
            offset_us,
            rendered: [(i64::MIN, [0; 20]); 8],
        }
    }

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_are_haproxys_and_rfc3339s() {
        // 2026-11-20T15:26:01Z
        let mut clock = clock("2", 1_795_188_361_000_000);
        assert_eq!(
            text(|out| clock.haproxy(out, 642_999)),
            "20/Nov/2026:17:26:01.642"
        );
        assert_eq!(
            text(|out| clock.haproxy(out, 8_642_000)),
            "20/Nov/2026:17:26:09.642"
        );
        assert_eq!(
            text(|out| clock.haproxy(out, 643_000)),
            "20/Nov/2026:17:26:01.643"
        );
        assert_eq!(
            text(|out| clock.rfc3339(out, 642_999)),
            "2026-11-20T15:26:01.642Z"
        );
    }

    #[test]
    fn syslog_has_fifteen_characters_on_every_day() {
        assert_eq!(text(now_syslog).len(), 15);
    }
}
