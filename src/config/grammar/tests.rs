use super::*;
use crate::config::HostMatch;

#[test]
fn hosts() {
    for (text, expected) in [
        (
            "Demo.Example.com",
            HostMatch::Exact("demo.example.com".into()),
        ),
        ("*.example.com", HostMatch::Suffix(".example.com".into())),
        ("10.0.0.1", HostMatch::Exact("10.0.0.1".into())),
        ("[::1]", HostMatch::Exact("[::1]".into())),
    ] {
        assert_eq!(host_match(text).unwrap(), expected, "{text}");
    }
    assert_eq!(
        host_match("a.example:8080").unwrap_err().help.unwrap(),
        "did you mean \"a.example\"?"
    );
    for text in ["", "*", "a.*", "http://a", "a..b", "ä.de", "*.[::1]", "a/b"] {
        assert!(host_match(text).is_err(), "{text}");
    }
}

#[test]
fn statuses() {
    assert_eq!(status_range("200").unwrap(), 200..=200);
    assert_eq!(status_range("200-399").unwrap(), 200..=399);
    assert_eq!(
        status_range("2xx").unwrap_err().help.unwrap(),
        "did you mean \"200-299\"?"
    );
    for text in ["", "100", "600", "399-200", "200-", "20"] {
        assert!(status_range(text).is_err(), "{text}");
    }
}

#[test]
fn methods_and_modes() {
    assert!(method("PURGE").is_ok());
    assert!(method("M-SEARCH").is_ok());
    assert_eq!(
        method("get").unwrap_err().help.unwrap(),
        "did you mean \"GET\"?"
    );
    assert_eq!(octal_mode("0660").unwrap(), 0o660);
    assert!(octal_mode("0888").is_err());
    assert!(octal_mode("1777").is_err());
    assert!(octal_mode("+600").is_err());
}
