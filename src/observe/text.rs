//! Small texts: `show version`, `show errors`, `show env`, and how times are written.

/// What HAProxy's clients take for its version; the part behind it is ours.
pub(super) const VERSION: &str = concat!("3.0.0-rlb-", env!("CARGO_PKG_VERSION"));
/// When this version was made. Changes with the version.
pub(super) const RELEASE_DATE: &str = "2026/11/20";

/// `show schema json`: the JSON schema of the JSON forms (management guide 9.3).
pub(crate) fn schema() -> &'static str {
    include_str!("schema.json").trim_end()
}

/// `show version`.
pub(crate) fn version() -> String {
    format!("{VERSION}\n")
}

/// `show errors`: no bad request or response is kept.
pub(crate) fn errors(now_unix_ms: u64) -> String {
    format!("Total events captured on [{}] : 0\n", log_time(now_unix_ms))
}

/// `show env [name]`. The values of names that sound like a secret, or that
/// `is_secret` (whatever was expanded into the file), are `***`.
///
/// # Errors
/// There is no such variable.
pub(crate) fn env(
    variables: impl IntoIterator<Item = (String, String)>,
    name: Option<&str>,
    is_secret: impl Fn(&str) -> bool,
) -> Result<String, &'static str> {
    let mut out = String::new();
    for (variable, value) in variables {
        if name.is_some_and(|name| name != variable) {
            continue;
        }
        let secret = sounds_secret(&variable) || is_secret(&variable);
        // One line each, whatever the value holds.
        let value = value.replace(['\n', '\r'], " ");
        let value = if secret { "***" } else { &value };
        out.push_str(&format!("{variable}={value}\n"));
    }
    match name {
        Some(_) if out.is_empty() => Err("Variable not found"),
        _ => Ok(out),
    }
}

/// Parts of names whose values are never shown.
const SECRET_WORDS: [&str; 5] = ["TOKEN", "PASSWORD", "SECRET", "KEY", "AUTH"];

/// Whether the values of this name are never shown.
pub(crate) fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// `20/Nov/2026:15:25:00.899`, as in HAProxy's logs; UTC.
pub(crate) fn log_time(unix_ms: u64) -> String {
    let time = Civil::of(unix_ms);
    let month = MONTHS[time.month as usize - 1];
    format!(
        "{:02}/{month}/{:04}:{:02}:{:02}:{:02}.{:03}",
        time.day, time.year, time.hour, time.minute, time.second, time.milli
    )
}

/// `2026-11-20T15:25:00Z`
pub(crate) fn iso_time(unix_ms: u64) -> String {
    let time = Civil::of(unix_ms);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        time.year, time.month, time.day, time.hour, time.minute, time.second
    )
}

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

struct Civil {
    year: u64,
    /// 1-12.
    month: u64,
    /// 1-31.
    day: u64,
    hour: u64,
    minute: u64,
    second: u64,
    milli: u64,
}

impl Civil {
    fn of(unix_ms: u64) -> Self {
        let (seconds, milli) = (unix_ms / 1000, unix_ms % 1000);
        // Years begin in March, so that the leap day is the last of its year;
        // eras are 400 years, which all have the same number of days.
        let days = seconds / 86_400 + 719_468;
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let turned = month >= 10;
        Self {
            year: year + era * 400 + u64::from(turned),
            month: if turned { month - 9 } else { month + 3 },
            day: day - (153 * month + 2) / 5 + 1,
            hour: seconds / 3600 % 24,
            minute: seconds / 60 % 60,
            second: seconds % 60,
            milli,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399_000, "2000-02-28T23:59:59Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (951_868_800_000, "2000-03-01T00:00:00Z"),
            (1_709_164_800_000, "2024-02-29T00:00:00Z"),
            (1_735_689_599_000, "2024-12-31T23:59:59Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ];
        for (unix_ms, text) in cases {
            assert_eq!(iso_time(unix_ms), text);
        }
        assert_eq!(log_time(1_795_188_300_899), "20/Nov/2026:15:25:00.899");
        assert_eq!(
            errors(1_795_188_300_899),
            "Total events captured on [20/Nov/2026:15:25:00.899] : 0\n"
        );
    }

    fn variables() -> Vec<(String, String)> {
        let pair = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        [
            ("HOME", "/root"),
            ("CONSUL_HTTP_TOKEN", "abc"),
            ("db_password", "abc"),
            ("UPSTREAM", "abc"),
            ("LINES", "a\nb"),
        ]
        .map(pair)
        .to_vec()
    }

    #[test]
    fn environment_hides_what_must_stay_secret() {
        let text = env(variables(), None, |name| name == "UPSTREAM").unwrap();
        assert_eq!(
            text,
            "HOME=/root\nCONSUL_HTTP_TOKEN=***\ndb_password=***\nUPSTREAM=***\nLINES=a b\n"
        );
        assert_eq!(
            env(variables(), Some("HOME"), |_| false).unwrap(),
            "HOME=/root\n"
        );
        assert_eq!(
            env(variables(), Some("NONE"), |_| false),
            Err("Variable not found")
        );
    }
}
