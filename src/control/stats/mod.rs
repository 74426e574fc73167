//! The stats page, `/metrics`, and who may see and steer there.
//!
//! hyper serves it on the control thread: on listeners of its own (`[stats]`) and,
//! for a frontend with `stats`, on a private socket that a route of that frontend
//! leads to, so that workers know nothing of it. `sites.rs` holds what is open,
//! `door.rs` one listener, `connection.rs` one client, `answer.rs` one request; `target.rs`, `form.rs` and
//! `guard.rs` are its rules and pure. What is shown comes from `observe`, rendered
//! on blocking threads; what is changed goes through `change.rs` as a command of
//! the admin socket does. Start at [`Sites`], then `answer.rs`.

mod action;
mod answer;
mod built_in;
mod connection;
mod door;
mod facts;
mod form;
mod gate;
mod guard;
mod guests;
mod live;
mod reply;
mod sites;
mod target;

pub(super) use sites::Sites;

/// Random text of 128 bits, fit for a token, a nonce and a name.
fn random_text() -> String {
    let mut bytes = [0; 16];
    // Past the start of the system it cannot fail, nor be interrupted for 16 bytes.
    let filled = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    assert_eq!(filled, Ok(bytes.len()), "the system has no random numbers");
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
