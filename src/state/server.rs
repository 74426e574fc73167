//! What a server keeps over generations: its status, its last check, its counters.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};

use super::{Counters, PerWorker, Queue, ServerId, Slots};

/// What the checks say (the operational axis).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Operational {
    /// May serve; also without any check.
    Up,
    /// Failed its checks.
    Down,
    /// Asked for no new work (health "stopping", NOLB).
    Stopping,
}

/// What the operator says (the administrative axis).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Admin {
    /// Takes part.
    Ready,
    /// No new work, checks go on.
    Drain,
    /// No work, no checks.
    Maint,
}

/// Shared by all generations of one server.
#[derive(Debug)]
pub(crate) struct ServerState {
    /// Who it is.
    pub(crate) id: ServerId,
    /// Per worker.
    pub(crate) counters: PerWorker<Counters>,
    /// How much it may have to do at once. On a line of its own: workers write there, and
    /// read the status for each pick.
    pub(crate) slots: CachePadded<Slots>,
    /// Clients that wait for this server alone: whom a cookie binds to it.
    pub(crate) line: Arc<Queue>,
    /// Operational x administrative x life x source, and whether that makes it
    /// usable, so that a pick costs one load. Control writes, workers read;
    /// relaxed, since a command that promises an effect waits for every worker
    /// anyway.
    status: AtomicU16,
    /// Consecutive check results as HAProxy's `health`, 0..rise+fall-1. Control writes.
    health: AtomicU32,
    /// Packed [`LastCheck`]. Control writes.
    last_check: AtomicU64,
    /// A check is under way. Control writes.
    checking: AtomicBool,
    /// Monotonic milliseconds of the last change of status. Control writes.
    changed_ms: AtomicU64,
    /// Failed checks: chkfail. Control writes.
    check_failures: AtomicU64,
    /// Changes from UP to DOWN: chkdown. Control writes.
    downs: AtomicU64,
    /// Milliseconds spent DOWN before `changed_ms`: downtime. Control writes.
    down_ms: AtomicU64,
}

const DOWN: u16 = 1;
const STOPPING: u16 = 1 << 1;
const DRAIN: u16 = 1 << 2;
const MAINT: u16 = 1 << 3;
const RETIRED: u16 = 1 << 4;
const CUT: u16 = 1 << 5;
/// Its source says that it must not serve.
const REFUSED: u16 = 1 << 6;
/// It has a check, and none was made yet.
const UNPROVEN: u16 = 1 << 7;
/// Too few pass their check: what ours says of it does not count.
const PARDONED: u16 = 1 << 8;
/// What the others come to.
const UNUSABLE: u16 = 1 << 15;

impl ServerState {
    /// A new server that is usable at once.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            id: ServerId::next(),
            counters: PerWorker::new(workers),
            slots: CachePadded::default(),
            line: Arc::default(),
            status: AtomicU16::new(0),
            health: AtomicU32::new(0),
            last_check: AtomicU64::new(0),
            checking: AtomicBool::new(false),
            changed_ms: AtomicU64::new(0),
            check_failures: AtomicU64::new(0),
            downs: AtomicU64::new(0),
            down_ms: AtomicU64::new(0),
        }
    }

    /// Whether new work may be given to it.
    #[inline]
    pub(crate) fn is_usable(&self) -> bool {
        self.status.load(Relaxed) & UNUSABLE == 0
    }

    /// Whether clients that are its own may stay: one that takes no new work keeps them,
    /// and so does one whose first check is still to come, or they all would move when
    /// their balancer starts anew.
    pub(crate) fn keeps_clients(&self) -> bool {
        let status = self.status.load(Relaxed);
        let against = match status & PARDONED {
            0 => status,
            _ => status & !DOWN,
        };
        against & !(UNUSABLE | PARDONED | UNPROVEN | DRAIN | STOPPING) == 0
    }

    /// Whether it is usable, or nothing is known of it but that it is there: to be used if
    /// nobody else can be. One look for both: with two, a first check that passes between
    /// them would make it neither.
    pub(crate) fn may_serve(&self) -> bool {
        let status = self.status.load(Relaxed);
        status & UNUSABLE == 0 || status & !UNUSABLE == UNPROVEN
    }

    /// Whether only our own check, if anything, speaks against it: what may be
    /// pardoned.
    pub(crate) fn is_wanted(&self) -> bool {
        self.status.load(Relaxed) & !(UNUSABLE | PARDONED | DOWN | UNPROVEN) == 0
    }

    /// Whether our own check is content with it, or it has none.
    pub(crate) fn passes(&self) -> bool {
        self.status.load(Relaxed) & (DOWN | UNPROVEN) == 0
    }

    /// Whether its source says that it must not serve.
    pub(crate) fn is_refused(&self) -> bool {
        self.status.load(Relaxed) & REFUSED != 0
    }

    /// Sets what its source says; true if it changed. Control only.
    pub(crate) fn set_refused(&self, refused: bool) -> bool {
        let before = self.is_refused();
        self.replace(REFUSED, if refused { REFUSED } else { 0 });
        before != refused
    }

    /// Whether its first check is still to come.
    pub(crate) fn is_unproven(&self) -> bool {
        self.status.load(Relaxed) & UNPROVEN != 0
    }

    /// Sets whether its first check is still to come; true if it changed. Control only.
    pub(crate) fn set_unproven(&self, unproven: bool) -> bool {
        let before = self.is_unproven();
        self.replace(UNPROVEN, if unproven { UNPROVEN } else { 0 });
        before != unproven
    }

    /// Sets whether our own check counts. Control only.
    pub(crate) fn set_pardoned(&self, pardoned: bool) {
        self.replace(PARDONED, if pardoned { PARDONED } else { 0 });
    }

    /// Whether what still runs on it must end now.
    #[cfg(test)]
    pub(crate) fn is_cut(&self) -> bool {
        self.status.load(Relaxed) & CUT != 0
    }

    /// Whether it left the configuration.
    pub(crate) fn is_retired(&self) -> bool {
        self.status.load(Relaxed) & (RETIRED | CUT) != 0
    }

    /// Whether connections to it may be kept for later requests.
    #[inline]
    pub(crate) fn may_pool(&self) -> bool {
        self.status.load(Relaxed) & (DOWN | DRAIN | MAINT | RETIRED | CUT | REFUSED) == 0
    }

    /// The operational axis.
    pub(crate) fn operational(&self) -> Operational {
        match self.status.load(Relaxed) {
            status if status & DOWN != 0 => Operational::Down,
            status if status & STOPPING != 0 => Operational::Stopping,
            _ => Operational::Up,
        }
    }

    /// The administrative axis.
    pub(crate) fn admin(&self) -> Admin {
        match self.status.load(Relaxed) {
            status if status & MAINT != 0 => Admin::Maint,
            status if status & DRAIN != 0 => Admin::Drain,
            _ => Admin::Ready,
        }
    }

    /// Sets the operational axis at monotonic `now_ms`; true if it changed. Control only.
    pub(crate) fn set_operational(&self, to: Operational, now_ms: u64) -> bool {
        let from = self.operational();
        if from == to {
            return false;
        }
        let since = now_ms.saturating_sub(self.changed_ms.load(Relaxed));
        if from == Operational::Down {
            self.down_ms
                .store(self.down_ms.load(Relaxed) + since, Relaxed);
        }
        if to == Operational::Down {
            self.downs.store(self.downs.load(Relaxed) + 1, Relaxed);
        }
        let bits = match to {
            Operational::Up => 0,
            Operational::Down => DOWN,
            Operational::Stopping => STOPPING,
        };
        self.replace(DOWN | STOPPING, bits);
        self.changed_ms.store(now_ms, Relaxed);
        true
    }

    /// Sets the administrative axis at monotonic `now_ms`; true if it changed. Control only.
    pub(crate) fn set_admin(&self, to: Admin, now_ms: u64) -> bool {
        if self.admin() == to {
            return false;
        }
        let bits = match to {
            Admin::Ready => 0,
            Admin::Drain => DRAIN,
            Admin::Maint => MAINT,
        };
        self.replace(DRAIN | MAINT, bits);
        self.changed_ms.store(now_ms, Relaxed);
        true
    }

    /// It left the configuration: no new work, what runs may finish. Control only.
    pub(crate) fn retire(&self) {
        self.replace(RETIRED | CUT, RETIRED);
    }

    /// It came back before its drain was over. Control only.
    pub(crate) fn revive(&self) {
        self.replace(RETIRED | CUT, 0);
    }

    /// Its drain is over: what still runs must end. Control only.
    pub(crate) fn cut(&self) {
        self.replace(RETIRED | CUT, RETIRED | CUT);
    }

    /// Replaces the bits of `mask`. Control is the only writer, so load and store do.
    fn replace(&self, mask: u16, bits: u16) {
        let status = self.status.load(Relaxed) & !(mask | UNUSABLE) | bits;
        let against = match status & PARDONED {
            0 => status,
            _ => status & !(PARDONED | DOWN | UNPROVEN),
        };
        let unusable = if against == 0 { 0 } else { UNUSABLE };
        self.status.store(status | unusable, Relaxed);
    }

    /// Records one finished check. Control only.
    pub(crate) fn record_check(&self, check: LastCheck, health: u32, failed: bool) {
        self.last_check.store(check.pack(), Relaxed);
        self.health.store(health, Relaxed);
        if failed {
            self.check_failures
                .store(self.check_failures.load(Relaxed) + 1, Relaxed);
        }
    }

    /// Goes on from what another process has counted. Control only.
    pub(crate) fn inherit_checks(&self, failures: u64, downs: u64, down_ms: u64) {
        self.check_failures.store(failures, Relaxed);
        self.downs.store(downs, Relaxed);
        self.down_ms.store(down_ms, Relaxed);
    }

    /// The last finished check; `None` before the first.
    pub(crate) fn last_check(&self) -> Option<LastCheck> {
        LastCheck::unpack(self.last_check.load(Relaxed))
    }

    /// A check begins or ends. Control only.
    pub(crate) fn set_checking(&self, checking: bool) {
        self.checking.store(checking, Relaxed);
    }

    /// Whether a check is under way.
    pub(crate) fn is_checking(&self) -> bool {
        self.checking.load(Relaxed)
    }

    /// HAProxy's `health`, 0..rise+fall-1.
    pub(crate) fn health(&self) -> u32 {
        self.health.load(Relaxed)
    }

    /// Sets `health` without a check (start, leaving maintenance). Control only.
    pub(crate) fn set_health(&self, health: u32) {
        self.health.store(health, Relaxed);
    }

    /// Failed checks so far.
    pub(crate) fn check_failures(&self) -> u64 {
        self.check_failures.load(Relaxed)
    }

    /// Changes from UP to DOWN so far.
    pub(crate) fn downs(&self) -> u64 {
        self.downs.load(Relaxed)
    }

    /// Monotonic milliseconds of the last change.
    pub(crate) fn changed_ms(&self) -> u64 {
        self.changed_ms.load(Relaxed)
    }

    /// Milliseconds spent DOWN until monotonic `now_ms`.
    pub(crate) fn downtime_ms(&self, now_ms: u64) -> u64 {
        let before = self.down_ms.load(Relaxed);
        match self.operational() {
            Operational::Down => before + now_ms.saturating_sub(self.changed_ms.load(Relaxed)),
            _ => before,
        }
    }
}

/// Result of a check in HAProxy's codes, with HAProxy's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckCode {
    Unknown = 0,
    Ini = 1,
    SockErr = 5,
    L4Ok = 6,
    L4Tout = 7,
    L4Con = 8,
    L6Ok = 9,
    L6Tout = 10,
    L6Rsp = 11,
    L7Tout = 12,
    L7Rsp = 13,
    L7Ok = 15,
    L7Sts = 17,
}

impl CheckCode {
    const ALL: [Self; 13] = [
        Self::Unknown,
        Self::Ini,
        Self::SockErr,
        Self::L4Ok,
        Self::L4Tout,
        Self::L4Con,
        Self::L6Ok,
        Self::L6Tout,
        Self::L6Rsp,
        Self::L7Tout,
        Self::L7Rsp,
        Self::L7Ok,
        Self::L7Sts,
    ];

    /// As in the CSV's check_status.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "UNK",
            Self::Ini => "INI",
            Self::SockErr => "SOCKERR",
            Self::L4Ok => "L4OK",
            Self::L4Tout => "L4TOUT",
            Self::L4Con => "L4CON",
            Self::L6Ok => "L6OK",
            Self::L6Tout => "L6TOUT",
            Self::L6Rsp => "L6RSP",
            Self::L7Tout => "L7TOUT",
            Self::L7Rsp => "L7RSP",
            Self::L7Ok => "L7OK",
            Self::L7Sts => "L7STS",
        }
    }

    /// As in the event log's reason.
    pub(crate) const fn description(self) -> &'static str {
        match self {
            Self::Unknown => "Unknown",
            Self::Ini => "Initializing",
            Self::SockErr => "Socket error",
            Self::L4Ok => "Layer4 check passed",
            Self::L4Tout => "Layer4 timeout",
            Self::L4Con => "Layer4 connection problem",
            Self::L6Ok => "Layer6 check passed",
            Self::L6Tout => "Layer6 timeout",
            Self::L6Rsp => "Layer6 invalid response",
            Self::L7Tout => "Layer7 timeout",
            Self::L7Rsp => "Layer7 invalid response",
            Self::L7Ok => "Layer7 check passed",
            Self::L7Sts => "Layer7 wrong status",
        }
    }

    /// Whether the server passed.
    pub(crate) const fn passed(self) -> bool {
        matches!(self, Self::L4Ok | Self::L6Ok | Self::L7Ok)
    }
}

/// The last check of a server, small enough for one atomic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastCheck {
    /// What came of it.
    pub(crate) code: CheckCode,
    /// HTTP status for layer 7, else 0.
    pub(crate) status: u16,
    /// errno of a failed connect, else 0.
    pub(crate) errno: u8,
    /// Milliseconds it took.
    pub(crate) duration_ms: u32,
}

impl LastCheck {
    fn pack(self) -> u64 {
        // The top bit tells a packed zero from "never".
        1 << 63
            | (self.code as u64) << 56
            | u64::from(self.status) << 40
            | u64::from(self.errno) << 32
            | u64::from(self.duration_ms)
    }

    fn unpack(packed: u64) -> Option<Self> {
        if packed == 0 {
            return None;
        }
        let number = (packed >> 56) & 0x7f;
        Some(Self {
            code: *CheckCode::ALL.iter().find(|code| **code as u64 == number)?,
            status: (packed >> 40) as u16,
            errno: (packed >> 32) as u8,
            duration_ms: packed as u32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_check_survives_packing() {
        for code in CheckCode::ALL {
            let check = LastCheck {
                code,
                status: 503,
                errno: 111,
                duration_ms: u32::MAX,
            };
            assert_eq!(LastCheck::unpack(check.pack()), Some(check));
        }
        assert_eq!(LastCheck::unpack(0), None);
    }

    #[test]
    fn usable_means_up_ready_and_serving() {
        let server = ServerState::new(1);
        assert!(server.is_usable());
        assert!(server.set_admin(Admin::Drain, 5));
        assert!(!server.is_usable() && !server.may_pool());
        assert!(server.set_admin(Admin::Ready, 6));
        assert!(server.set_operational(Operational::Down, 10));
        assert!(!server.set_operational(Operational::Down, 11));
        assert!(!server.is_usable());
        assert_eq!(server.downtime_ms(15), 5);
        assert!(server.set_operational(Operational::Up, 30));
        assert_eq!((server.downtime_ms(99), server.downs()), (20, 1));
        server.retire();
        assert!(!server.is_usable() && !server.is_cut());
        server.cut();
        assert!(server.is_cut());
        server.revive();
        assert!(server.is_usable());
    }

    #[test]
    fn who_may_serve_does_so_before_and_after_its_first_check() {
        let server = ServerState::new(1);
        for unproven in [true, false] {
            server.set_unproven(unproven);
            assert!(server.may_serve());
        }
        server.set_operational(Operational::Down, 1);
        assert!(!server.may_serve());
    }

    #[test]
    fn a_pardon_covers_our_own_check_and_nothing_else() {
        let server = ServerState::new(1);
        server.set_unproven(true);
        assert!(!server.is_usable() && server.may_serve() && server.is_wanted());
        server.set_pardoned(true);
        assert!(server.is_usable());
        assert!(server.set_unproven(false) && !server.set_unproven(false));
        server.set_operational(Operational::Down, 1);
        assert!(server.is_usable() && !server.passes());
        assert!(server.set_refused(true));
        assert!(!server.is_usable() && !server.is_wanted() && !server.may_serve());
        server.set_refused(false);
        server.set_admin(Admin::Maint, 1);
        assert!(!server.is_usable());
        server.set_admin(Admin::Ready, 1);
        server.set_pardoned(false);
        assert!(!server.is_usable() && server.is_wanted());
    }
}
