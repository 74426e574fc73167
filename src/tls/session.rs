//! One TLS connection as a state machine: ciphertext in and out through what the
//! caller lends, plaintext through the caller's buffers. It owns no socket and
//! never waits.

use std::io::{self, BufRead, IoSlice, Read, Write};

use rustls::pki_types::CertificateDer;
use rustls::server::{Accepted, Acceptor};
use rustls::{ClientConnection, Connection, ServerConnection};

use super::preference::Preference;

/// Both ends of a handshake, and the traffic behind it.
#[derive(Debug)]
pub(crate) struct Session {
    stage: Stage,
    /// Ciphertext came.
    heard: bool,
    /// What waits to be written may wait for more.
    deferred: bool,
}

#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "every session comes to be the large one, in a box of its stream"
)]
enum Stage {
    /// A client has yet to say what it likes.
    Greeting(Box<Greeting>),
    Open(Connection),
}

struct Greeting {
    acceptor: Acceptor,
    preference: Preference,
    /// An alert on its way: nothing follows it.
    refusal: Vec<u8>,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plain {
    /// This many bytes.
    Bytes(usize),
    /// The peer said that it sends no more.
    End,
    /// Nothing until more ciphertext comes.
    Empty,
}

impl Session {
    /// The server's end of a connection, its handshake ahead.
    pub(super) fn server(preference: Preference) -> Self {
        Self {
            stage: Stage::Greeting(Box::new(Greeting {
                acceptor: Acceptor::default(),
                preference,
                refusal: Vec::new(),
            })),
            heard: false,
            deferred: false,
        }
    }

    /// The client's end of a connection, its handshake ahead.
    pub(super) fn client(connection: ClientConnection) -> Self {
        Self {
            stage: Stage::Open(Connection::Client(connection)),
            heard: false,
            deferred: false,
        }
    }

    /// Whether no application data may flow yet.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        self.open().is_none_or(|open| open.is_handshaking())
    }

    /// Whether ciphertext waits for [`Self::write_tls`].
    #[inline]
    pub(crate) fn wants_write(&self) -> bool {
        match &self.stage {
            Stage::Open(connection) => connection.wants_write(),
            Stage::Greeting(greeting) => !greeting.refusal.is_empty(),
        }
    }

    /// Whether it waits for nothing else; see [`Self::defer`].
    #[inline]
    pub(crate) fn owes(&self) -> bool {
        !self.deferred && self.wants_write()
    }

    /// Lets what a handshake ends with go with what is written first, where the peer
    /// waits for none of it: with TLS 1.3 a server ends with tickets. True = it may.
    pub(crate) fn defer(&mut self) -> bool {
        self.deferred = matches!(&self.stage, Stage::Open(Connection::Server(server))
            if !server.is_handshaking()
                && server.protocol_version() == Some(rustls::ProtocolVersion::TLSv1_3));
        self.deferred
    }

    /// Takes ciphertext from one read of `from`; 0 = the transport ended.
    ///
    /// # Errors
    /// Those of `from`.
    pub(crate) fn read_tls(&mut self, from: &mut dyn Read) -> io::Result<usize> {
        let n = match &mut self.stage {
            Stage::Open(connection) => connection.read_tls(from)?,
            Stage::Greeting(greeting) => greeting.acceptor.read_tls(from)?,
        };
        self.heard |= n > 0;
        Ok(n)
    }

    /// Whether the peer ever sent a byte.
    pub(crate) fn has_heard(&self) -> bool {
        self.heard
    }

    /// Understands the ciphertext that was read.
    ///
    /// # Errors
    /// The peer broke the protocol, or cannot be trusted. An alert that says so
    /// waits for [`Self::write_tls`].
    pub(crate) fn process(&mut self) -> Result<(), rustls::Error> {
        if let Stage::Greeting(greeting) = &mut self.stage {
            match greeting.welcome()? {
                Some(connection) => self.stage = Stage::Open(connection.into()),
                None => return Ok(()),
            }
        }
        match &mut self.stage {
            Stage::Open(connection) => connection.process_new_packets().map(drop),
            Stage::Greeting(_) => Ok(()),
        }
    }

    /// Gives ciphertext to one write of `to`.
    ///
    /// # Errors
    /// Those of `to`.
    pub(crate) fn write_tls(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        match &mut self.stage {
            Stage::Open(connection) => connection.write_tls(to),
            Stage::Greeting(greeting) => {
                let written = to.write(&greeting.refusal)?;
                greeting.refusal.drain(..written);
                Ok(written)
            }
        }
    }

    /// Plaintext that was understood.
    ///
    /// # Errors
    /// `UnexpectedEof`: the transport ended without the peer's word, so that what
    /// came may have been cut by somebody on the way (RFC 8446 section 6.1).
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Plain> {
        let Stage::Open(connection) = &mut self.stage else {
            return Ok(Plain::Empty);
        };
        match connection.reader().read(buffer) {
            Ok(0) if !buffer.is_empty() => Ok(Plain::End),
            Ok(n) => Ok(Plain::Bytes(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Plain::Empty),
            Err(error) => Err(error),
        }
    }

    /// Whether [`Self::read`] has something to give now.
    pub(crate) fn has_plain(&mut self) -> bool {
        let Stage::Open(connection) = &mut self.stage else {
            return false;
        };
        let mut reader = connection.reader();
        matches!(reader.fill_buf(), Ok(plain) if !plain.is_empty())
    }

    /// Encrypts some of `slices` into common records: at most what rustls buffers, 64 KiB.
    ///
    /// # Errors
    /// The connection failed before, or its handshake has not begun.
    #[inline]
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.deferred = false;
        match &mut self.stage {
            Stage::Open(connection) => connection.writer().write_vectored(slices),
            Stage::Greeting(_) => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Says that no more will be written (close_notify); to be written out by
    /// [`Self::write_tls`]. Once is enough, more is nothing.
    pub(crate) fn close(&mut self) {
        if let Stage::Open(connection) = &mut self.stage {
            connection.send_close_notify();
        }
    }

    /// What both sides agreed to speak (RFC 7301); `None` = nothing was said.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.open()?.alpn_protocol()
    }

    /// Whether the keys come from an earlier connection.
    pub(crate) fn is_resumed(&self) -> bool {
        self.open().and_then(|open| open.handshake_kind()) == Some(rustls::HandshakeKind::Resumed)
    }

    /// The certificate of the peer, verified; `None` = it showed none.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.open()?.peer_certificates()?.first()
    }

    #[inline]
    fn open(&self) -> Option<&Connection> {
        match &self.stage {
            Stage::Open(connection) => Some(connection),
            Stage::Greeting(_) => None,
        }
    }
}

impl Greeting {
    /// The connection, once the client's first message is whole.
    fn welcome(&mut self) -> Result<Option<ServerConnection>, rustls::Error> {
        let accepted = match self.acceptor.accept() {
            Ok(Some(accepted)) => Ok(accepted),
            Ok(None) => return Ok(None),
            Err(refused) => Err(refused),
        };
        let opened = accepted.and_then(|accepted: Accepted| {
            let config = self.preference.of(accepted.client_hello().cipher_suites());
            accepted.into_connection(config)
        });
        opened.map(Some).map_err(|(error, mut alert)| {
            // Writing into memory does not fail.
            let _ = alert.write_all(&mut self.refusal);
            if self.refusal.is_empty() {
                // What is not TLS has no record that rustls would answer.
                self.refusal.extend_from_slice(&DECODE_ERROR);
            }
            error
        })
    }
}

/// A fatal alert in a record of its own (RFC 8446 6.2).
const DECODE_ERROR: [u8; 7] = [21, 3, 3, 0, 2, 2, 50];

impl std::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Greeting").finish_non_exhaustive()
    }
}
