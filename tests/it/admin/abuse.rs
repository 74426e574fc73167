//! Clients that are many, slow, silent or mad do not hold up the others.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use super::Running;

/// Well above what an answer takes on a busy machine, below the 10 s of our timeouts.
const PROMPT: Duration = Duration::from_secs(8);

#[track_caller]
fn answers_promptly(rlb: &Running) {
    let start = Instant::now();
    assert_eq!(rlb.ask("get weight web/s2"), "1 (initial 1)");
    assert!(start.elapsed() < PROMPT);
}

#[test]
fn half_lines_and_silence_hold_up_nobody() {
    let rlb = Running::two_backends();
    let waiting: Vec<_> = (0..40)
        .map(|number| {
            let mut client = rlb.client();
            if number % 2 == 0 {
                client.send("show inf");
            }
            client
        })
        .collect();
    answers_promptly(&rlb);
    drop(waiting);
    answers_promptly(&rlb);
}

#[test]
fn more_clients_than_places_are_all_answered() {
    let rlb = Running::two_backends();
    let mut clients: Vec<_> = (0..100).map(|_| rlb.client()).collect();
    for client in &mut clients {
        client.send("get weight web/s2\n");
    }
    for client in &mut clients {
        assert_eq!(client.rest(), "1 (initial 1)\n\n");
    }
}

#[test]
fn megabyte_lines_are_refused_and_the_sentence_arrives() {
    let rlb = Running::two_backends();
    let mut client = rlb.client();
    client.send(vec![b'x'; 1 << 20]).send("\n");
    assert!(
        client
            .rest()
            .starts_with("The command is too big for the buffer size.")
    );
    let mut client = rlb.client();
    client.send("prompt\n").until("> ");
    client
        .send(vec![b'x'; 1 << 20])
        .send("\nget weight web/s2\n");
    let text = client.until("1 (initial 1)\n\n> ");
    assert!(text.starts_with("The command is too big for the buffer size."));
    answers_promptly(&rlb);
}

#[test]
fn binary_garbage_is_answered_as_text() {
    let rlb = Running::two_backends();
    let mut seed = 1_u32;
    for _ in 0..50 {
        let bytes: Vec<u8> = (0..3000)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8
            })
            .collect();
        let mut client = rlb.client();
        client.send(bytes).finish_sending();
        client.rest();
    }
    answers_promptly(&rlb);
}

#[test]
fn clients_that_do_not_read_hold_up_nobody() {
    let rlb = Running::two_backends();
    let mut deaf = rlb.client();
    deaf.0.set_nonblocking(true).unwrap();
    let line = "help;".repeat(3000) + "\n";
    let mut sent = 0;
    while let Ok(length) = deaf.0.write(&line.as_bytes()[sent..]) {
        sent += length;
        if sent == line.len() {
            break;
        }
    }
    for _ in 0..20 {
        answers_promptly(&rlb);
    }
    deaf.0.set_nonblocking(false).unwrap();
    let mut first = [0; 30];
    deaf.0.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"The following commands are val");
}

#[test]
fn a_thousand_commands_in_a_line_do_not_keep_control_to_themselves() {
    let rlb = Running::two_backends();
    let mut busy = rlb.client();
    busy.send("set weight web/s1 5;".repeat(700) + "\n");
    answers_promptly(&rlb);
    let answer = busy.rest();
    assert_eq!(answer, "\n".repeat(701));
}

#[test]
fn waiting_clients_hold_up_nobody() {
    let rlb = Running::two_backends();
    let mut waiting = rlb.client();
    waiting.send("wait 500;echo over\n");
    answers_promptly(&rlb);
    assert_eq!(waiting.rest(), "Done.\n\nover\n\n");
}

#[test]
fn clients_that_do_not_finish_their_line_are_closed() {
    let rlb = Running::two_backends();
    let mut client = rlb.client();
    client
        .send("prompt;set timeout cli 300ms\n")
        .until("> \n> ");
    client.send("show inf");
    assert_eq!(client.rest(), "");
}
