//! Session tickets: one set of keys for all workers and frontends, which a successor
//! process can take over (rustls's own ticketer keeps its keys to itself).

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{digest, rand};
use rustls::server::ProducesTickets;
use serde::{Deserialize, Serialize};

/// A key makes tickets for so long, and opens them for as long again. Whoever learns
/// a key can read what was resumed with it: HAProxy's and nginx's advice is a day at most.
const LIFE: u64 = 12 * 3600;
const NAME_LEN: usize = 16;

/// The keys of a process; none until the first ticket is made.
#[derive(Default)]
pub(crate) struct Tickets {
    /// Newest first: the first makes tickets, all open them. Handshakes read.
    keys: ArcSwap<Vec<Key>>,
}

struct Key {
    bytes: KeyBytes,
    cipher: RandomizedNonceKey,
}

/// Keys on their way to a successor process.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TicketKeys(Vec<KeyBytes>);

#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct KeyBytes {
    name: [u8; NAME_LEN],
    secret: [u8; 32],
    /// Unix seconds.
    made: u64,
}

/// Never the secret.
impl fmt::Debug for KeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("made", &self.made).finish()
    }
}

impl Tickets {
    /// What a successor needs to resume the sessions of our clients.
    pub(crate) fn export(&self) -> TicketKeys {
        let keys = self.keys.load();
        TicketKeys(keys.iter().map(|key| key.bytes.clone()).collect())
    }

    /// Goes on with the keys of a predecessor.
    pub(crate) fn import(&self, keys: TicketKeys) {
        let now = unix_now();
        let good = keys.0.into_iter().filter(|key| is_alive(key.made, now));
        let taken: Vec<_> = good.filter_map(Key::of).collect();
        if !taken.is_empty() {
            self.keys.store(Arc::new(taken));
        }
    }

    fn seal(&self, plain: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        self.rotate(unix_now());
        let keys = self.keys.load();
        let key = keys.first()?;
        let mut sealed = plain.to_vec();
        let nonce = key
            .cipher
            .seal_in_place_append_tag(Aad::from(context), &mut sealed)
            .ok()?;
        let mut ticket = Vec::with_capacity(NAME_LEN + NONCE_LEN + sealed.len());
        ticket.extend_from_slice(&key.bytes.name);
        ticket.extend_from_slice(nonce.as_ref());
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8], context: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_LEN)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        let keys = self.keys.load();
        let key = keys.iter().find(|key| key.bytes.name == *name)?;
        if !is_alive(key.bytes.made, unix_now()) {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = sealed.to_vec();
        let len = key
            .cipher
            .open_in_place(nonce, Aad::from(context), &mut plain)
            .ok()?
            .len();
        plain.truncate(len);
        Some(plain)
    }

    /// A new key once the first is old.
    fn rotate(&self, now: u64) {
        let is_young = |keys: &[Key]| {
            keys.first()
                .is_some_and(|key| now.saturating_sub(key.bytes.made) < LIFE)
        };
        let before = self.keys.load();
        if is_young(&before) {
            return;
        }
        let old = before.iter().map(|key| key.bytes.clone());
        let old = old.filter(|key| is_alive(key.made, now));
        // No randomness, no ticket: clients do without.
        let Some(fresh) = Key::fresh(now) else { return };
        let keys = std::iter::once(fresh).chain(old.filter_map(Key::of));
        // Of two workers at once the first wins, and both go on with its key.
        self.keys
            .compare_and_swap(&before, Arc::new(keys.collect()));
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Key {
    fn fresh(now: u64) -> Option<Self> {
        let mut bytes = KeyBytes {
            name: [0; NAME_LEN],
            secret: [0; 32],
            made: now,
        };
        rand::fill(&mut bytes.name).ok()?;
        rand::fill(&mut bytes.secret).ok()?;
        Self::of(bytes)
    }

    fn of(bytes: KeyBytes) -> Option<Self> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &bytes.secret).ok()?;
        Some(Self { bytes, cipher })
    }
}

fn is_alive(made: u64, now: u64) -> bool {
    now.saturating_sub(made) < 2 * LIFE
}

fn unix_now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The keys of the process, for connections of one kind alone: a ticket given to a
/// client that showed no certificate opens nothing where one is required.
#[derive(Debug)]
pub(super) struct Bound {
    tickets: Arc<Tickets>,
    context: [u8; 32],
}

impl Bound {
    pub(super) fn new(tickets: &Arc<Tickets>, context: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, context);
        let mut context = [0; 32];
        context.copy_from_slice(digest.as_ref());
        Self {
            tickets: Arc::clone(tickets),
            context,
        }
    }
}

impl ProducesTickets for Bound {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        LIFE as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.tickets.seal(plain, &self.context)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.tickets.open(ticket, &self.context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_opens_with_its_key_and_context_alone() {
        let tickets = Arc::new(Tickets::default());
        let (one, other) = (Bound::new(&tickets, b"a"), Bound::new(&tickets, b"b"));
        let ticket = one.encrypt(b"secret").unwrap();
        assert_eq!(one.decrypt(&ticket).unwrap(), b"secret");
        assert_eq!(other.decrypt(&ticket), None);
        let stranger = Bound::new(&Arc::new(Tickets::default()), b"a");
        assert_eq!(stranger.decrypt(&ticket), None);
        for cut in 0..ticket.len() {
            assert_eq!(one.decrypt(&ticket[..cut]), None);
        }
    }

    #[test]
    fn successor_opens_what_its_predecessor_made() {
        let old = Arc::new(Tickets::default());
        let ticket = Bound::new(&old, b"").encrypt(b"secret").unwrap();
        let text = serde_json::to_string(&old.export()).unwrap();
        let new = Arc::new(Tickets::default());
        new.import(serde_json::from_str(&text).unwrap());
        assert_eq!(Bound::new(&new, b"").decrypt(&ticket).unwrap(), b"secret");
    }

    #[test]
    fn key_makes_tickets_for_half_its_life() {
        let (tickets, now) = (Tickets::default(), unix_now());
        let name = |tickets: &Tickets| tickets.keys.load()[0].bytes.name;
        tickets.rotate(now);
        let first = name(&tickets);
        tickets.rotate(now + LIFE - 60);
        assert_eq!(name(&tickets), first);
        tickets.rotate(now + LIFE + 60);
        assert_ne!(name(&tickets), first);
        assert_eq!(tickets.keys.load().len(), 2);
        tickets.rotate(now + 3 * LIFE);
        assert!(
            tickets
                .keys
                .load()
                .iter()
                .all(|key| key.bytes.name != first)
        );
    }
}
