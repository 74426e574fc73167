//! One TLS connection as a state machine: ciphertext in and out through what the
//! caller lends, plaintext through the caller's buffers. It owns no socket and
//! never waits.

use std::io::{self, BufRead, IoSlice, Read, Write};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConnection, Connection, ServerConnection};

/// Both ends of a handshake, and the traffic behind it.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// Ciphertext came.
    heard: bool,
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
    pub(super) fn server(config: Arc<rustls::ServerConfig>) -> Result<Self, rustls::Error> {
        let connection = ServerConnection::new(config)?;
        Ok(Self {
            connection: Connection::Server(connection),
            heard: false,
        })
    }

    /// The client's end of a connection, its handshake ahead.
    pub(super) fn client(connection: ClientConnection) -> Self {
        Self {
            connection: Connection::Client(connection),
            heard: false,
        }
    }

    /// Whether no application data may flow yet.
    #[inline]
    pub(crate) fn is_handshaking(&self) -> bool {
        self.connection.is_handshaking()
    }

    /// Whether ciphertext waits for [`Self::write_tls`].
    #[inline]
    pub(crate) fn wants_write(&self) -> bool {
        self.connection.wants_write()
    }

    /// Takes ciphertext from one read of `from`; 0 = the transport ended.
    ///
    /// # Errors
    /// Those of `from`.
    pub(crate) fn read_tls(&mut self, from: &mut dyn Read) -> io::Result<usize> {
        let n = self.connection.read_tls(from)?;
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
        self.connection.process_new_packets().map(drop)
    }

    /// Gives ciphertext to one write of `to`.
    ///
    /// # Errors
    /// Those of `to`.
    pub(crate) fn write_tls(&mut self, to: &mut dyn Write) -> io::Result<usize> {
        self.connection.write_tls(to)
    }

    /// Plaintext that was understood.
    ///
    /// # Errors
    /// `UnexpectedEof`: the transport ended without the peer's word, so that what
    /// came may have been cut by somebody on the way (RFC 8446 section 6.1).
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Plain> {
        match self.connection.reader().read(buffer) {
            Ok(0) if !buffer.is_empty() => Ok(Plain::End),
            Ok(n) => Ok(Plain::Bytes(n)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Plain::Empty),
            Err(error) => Err(error),
        }
    }

    /// Whether [`Self::read`] has something to give now.
    pub(crate) fn has_plain(&mut self) -> bool {
        let mut reader = self.connection.reader();
        matches!(reader.fill_buf(), Ok(plain) if !plain.is_empty())
    }

    /// Encrypts some of `slices` into common records: at most what rustls buffers, 64 KiB.
    ///
    /// # Errors
    /// The connection failed before.
    #[inline]
    pub(crate) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.connection.writer().write_vectored(slices)
    }

    /// Says that no more will be written (close_notify); to be written out by
    /// [`Self::write_tls`]. Once is enough, more is nothing.
    pub(crate) fn close(&mut self) {
        self.connection.send_close_notify();
    }

    /// What both sides agreed to speak (RFC 7301); `None` = nothing was said.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.connection.alpn_protocol()
    }

    /// Whether the keys come from an earlier connection.
    pub(crate) fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    /// The certificate of the peer, verified; `None` = it showed none.
    pub(crate) fn peer_certificate(&self) -> Option<&CertificateDer<'static>> {
        self.connection.peer_certificates()?.first()
    }
}
