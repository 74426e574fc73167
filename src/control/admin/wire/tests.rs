use proptest::prelude::*;

use super::*;
use crate::control::admin::answer::Severity;

const UPTIME: Duration = Duration::from_secs(58);

/// Runs a conversation in which commands answer their own words.
fn talk(session: &mut Session) -> (String, bool) {
    loop {
        match session.next(UPTIME) {
            Step::Read => return (output(session), false),
            Step::Close => return (output(session), true),
            Step::Run(request) => {
                let words: Vec<&str> = request.words.iter().map(String::as_str).collect();
                let talk = match words[..] {
                    ["prompt"] => Talk::TogglePrompt,
                    ["prompt", "p"] => Talk::Prompt,
                    ["prompt", "i"] => Talk::Interactive,
                    ["prompt", "n"] => Talk::Once,
                    ["prompt", "timed"] => Talk::Timed,
                    ["quit"] => Talk::Quit,
                    ["numbers"] => Talk::Severities(Severities::Number),
                    ["words"] => Talk::Severities(Severities::Word),
                    ["user"] => Talk::Lower(AdminLevel::User),
                    ["operator"] => Talk::Lower(AdminLevel::Operator),
                    ["level"] => Talk::ShowLevel,
                    [] | ["silent"] => {
                        session.answer(&Reply::Silent, UPTIME);
                        continue;
                    }
                    ["bad"] => {
                        session.answer(&Reply::refused("No."), UPTIME);
                        continue;
                    }
                    _ => {
                        let mut text = words.join(" ");
                        if let Some(payload) = request.payload {
                            text += &format!("<{payload}>");
                        }
                        session.answer(&Reply::Dump(text), UPTIME);
                        continue;
                    }
                };
                session.obey(talk, UPTIME);
            }
        }
    }
}

fn output(session: &mut Session) -> String {
    String::from_utf8(session.take_output()).unwrap()
}

fn converse(input: &str) -> (String, bool) {
    let mut session = Session::new(AdminLevel::Admin);
    session.receive(input.as_bytes());
    talk(&mut session)
}

#[test]
fn conversations_are_those_of_haproxy() {
    // input, output, whether we close
    let cases = [
        ("a b\n", "a b\n\n", true),
        ("silent\n", "\n", true),
        ("\n", "\n", true),
        ("a;b\n", "a\n\nb\n\n", true),
        ("a;\n", "a\n\n\n", true),
        (";;\n", "\n\n\n", true),
        ("a\r\n", "a\n\n", true),
        ("\r\n", "\n", true),
        ("a\nb\n", "a\n\n", true),
        ("a", "", false),
        (r"a\;b\ c \\", "", false),
        ("a\\;b\\ c \\\\\n", "a;b c \\\n\n", true),
        ("prompt\n", "\n> ", false),
        ("prompt\na\nsilent\n\n", "\n> a\n\n> \n> \n> ", false),
        ("prompt\na;b\n", "\n> a\n\n> b\n\n> ", false),
        ("prompt\nprompt\na\n", "\n> \n", true),
        ("prompt p\na\n", "\n> a\n\n> ", false),
        ("prompt i\na\nb\n", "\na\n\nb\n\n", false),
        ("prompt i\nprompt n\nb\n", "\n\n", true),
        ("prompt timed\n", "\n[0:00:00:58]> ", false),
        ("prompt;a\n", "\n> a\n\n> ", false),
        ("quit\n", "", true),
        ("a;quit;b\n", "a\n\n", true),
        ("prompt\nquit\n", "\n> ", true),
        ("a <<\nx\ny\n\n", "a<x\ny\n>\n\n", true),
        ("a <<END\nx\n\nEND\n", "a<x\n\n>\n\n", true),
        ("a <<\n\n", "a<>\n\n", true),
        ("a <<\nx\n", "", false),
        ("b;a <<\nx\r\n\r\n", "b\n\na<x\n>\n\n", true),
        (
            "prompt\na <<\nx\n\nb\n",
            "\n> + + a<x\n>\n\n> b\n\n> ",
            false,
        ),
        ("bad\n", "No.\n\n", true),
        ("numbers;bad;a\n", "\n[3]: No.\n\na\n\n", true),
        ("words;bad\n", "\n[err]: No.\n\n", true),
        ("level\n", "admin\n\n", true),
        (
            "operator;level;user;level;operator;level\n",
            "\noperator\n\n\nuser\n\n\nuser\n\n",
            true,
        ),
    ];
    for (input, expected, closes) in cases {
        assert_eq!(converse(input), (expected.into(), closes), "{input:?}");
    }
}

#[test]
fn half_closed_client_gets_its_answers_and_no_half_line_is_run() {
    for (input, expected) in [
        ("a\n", "a\n\n"),
        ("a", ""),
        ("prompt\na\nb", "\n> a\n\n> "),
        ("a <<\nx\n", ""),
        ("", ""),
    ] {
        let mut session = Session::new(AdminLevel::Admin);
        session.receive(input.as_bytes());
        session.end_of_input();
        assert_eq!(talk(&mut session), (expected.into(), true), "{input:?}");
    }
}

#[test]
fn line_of_the_bound_is_taken_and_a_longer_one_is_refused() {
    let line = "x".repeat(LINE_MAX);
    assert_eq!(converse(&format!("{line}\n")).0, format!("{line}\n\n"));
    let refused = format!("{TOO_LONG}\n\n");
    assert_eq!(converse(&format!("{line}x\n")), (refused.clone(), true));
    assert_eq!(converse(&format!("{line}x")), (refused, true));
}

#[test]
fn interactive_client_goes_on_behind_a_line_that_was_too_long() {
    let long = "x".repeat(3 * LINE_MAX);
    let expected = format!("\n{TOO_LONG}\n\na\n\n");
    for chunk in [100, LINE_MAX, 10 * LINE_MAX] {
        let mut session = Session::new(AdminLevel::Admin);
        let mut text = String::new();
        for part in format!("prompt i\n{long}\na\n").as_bytes().chunks(chunk) {
            session.receive(part);
            let (output, closes) = talk(&mut session);
            assert!(!closes);
            text += &output;
        }
        assert_eq!(text, expected);
        assert!(session.is_overrun());
        assert!(session.input.is_empty());
    }
}

#[test]
fn payload_is_bounded_too() {
    let line = format!("{}\n", "x".repeat(1000));
    let input = format!("prompt i\na <<\n{}\n", line.repeat(20));
    assert_eq!(converse(&input), (format!("\n{TOO_LONG}\n\n"), true));
}

#[test]
fn severity_words_are_syslogs() {
    let words = [
        (Severity::Error, "err"),
        (Severity::Warning, "warning"),
        (Severity::Notice, "notice"),
        (Severity::Info, "info"),
    ];
    for (severity, word) in words {
        assert_eq!(severity.word(), word);
    }
}

proptest! {
    /// However the bytes are cut, the conversation is the same.
    #[test]
    fn cuts_do_not_matter(
        lines in prop::collection::vec(
            prop::sample::select(vec![
                "a b", "silent", "", "prompt", "prompt i", "a;b\\;c", "x <<", "x <<E", "E",
                "quit", "numbers", "bad", "\\", "<<", ";", "\u{0}\u{7f}",
            ]),
            0..12,
        ),
        cut in 1_usize..9,
    ) {
        let input = lines.join("\n");
        let (whole, closed) = converse(&input);
        let mut session = Session::new(AdminLevel::Admin);
        let mut text = String::new();
        let mut closes = false;
        for part in input.as_bytes().chunks(cut) {
            if closes {
                break;
            }
            session.receive(part);
            let (output, now) = talk(&mut session);
            text += &output;
            closes = now;
        }
        prop_assert_eq!((text, closes), (whole, closed));
    }

    #[test]
    fn any_bytes_are_survived_and_nothing_piles_up(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..3000), 0..30),
    ) {
        let mut session = Session::new(AdminLevel::Admin);
        session.obey(Talk::Interactive, UPTIME);
        for part in parts {
            session.receive(&part);
            loop {
                match session.next(UPTIME) {
                    Step::Run(_) => session.answer(&Reply::Silent, UPTIME),
                    Step::Read => break,
                    Step::Close => return Ok(()),
                }
            }
            prop_assert!(session.input.len() <= LINE_MAX);
        }
    }
}
