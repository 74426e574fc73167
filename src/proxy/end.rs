//! How a session or exchange ended, and what the client is told.

use crate::state::Abort;

/// Who ended it: the first letter of HAProxy's termination state (manual 8.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// `-` all went well.
    Normal,
    /// `C` the client left.
    Client,
    /// `S` the server refused or left.
    Server,
    /// `P` we refused: bad bytes, a rule.
    Proxy,
    /// `R` a resource ran out.
    Resource,
    /// `I` our own fault.
    Internal,
    /// `D` the server's drain was over.
    Down,
    /// `L` answered here.
    Local,
    /// `K` the operator ended it.
    Killed,
    /// `c` the client was too slow.
    ClientTimeout,
    /// `s` the server was too slow.
    ServerTimeout,
}

/// When it ended: the second letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// `-` after the end.
    Nothing,
    /// `R` waiting for the request.
    Request,
    /// `Q` in the queue.
    Queue,
    /// `C` connecting.
    Connect,
    /// `H` waiting for the response head.
    Headers,
    /// `D` in the data.
    Data,
    /// `L` the server was done, the client had not got everything.
    Last,
}

/// Who ended it x when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SessionEnd {
    /// Who.
    pub(crate) cause: Cause,
    /// When.
    pub(crate) during: During,
}

impl SessionEnd {
    /// All went well.
    pub(crate) const NORMAL: Self = Self::new(Cause::Normal, During::Nothing);

    /// This cause, this moment.
    pub(crate) const fn new(cause: Cause, during: During) -> Self {
        Self { cause, during }
    }

    /// The two letters of the log.
    pub(crate) const fn letters(self) -> [u8; 2] {
        let cause = match self.cause {
            Cause::Normal => b'-',
            Cause::Client => b'C',
            Cause::Server => b'S',
            Cause::Proxy => b'P',
            Cause::Resource => b'R',
            Cause::Internal => b'I',
            Cause::Down => b'D',
            Cause::Local => b'L',
            Cause::Killed => b'K',
            Cause::ClientTimeout => b'c',
            Cause::ServerTimeout => b's',
        };
        let during = match self.during {
            During::Nothing => b'-',
            During::Request => b'R',
            During::Queue => b'Q',
            During::Connect => b'C',
            During::Headers => b'H',
            During::Data => b'D',
            During::Last => b'L',
        };
        [cause, during]
    }

    /// Who is to be counted as having broken off. A server that never answered did
    /// not: that is an error of its, counted elsewhere.
    pub(crate) const fn aborted_by(self) -> Abort {
        match (self.cause, self.during) {
            (Cause::Internal, _) => Abort::Internal,
            // Who leaves amid a connect breaks off nothing, to HAProxy.
            (Cause::Client, During::Connect) => Abort::None,
            (Cause::Client | Cause::ClientTimeout, _) => Abort::Client,
            // To its counters a kill is the server's end of the connection.
            (Cause::Server | Cause::ServerTimeout | Cause::Killed, During::Data | During::Last) => {
                Abort::Server
            }
            _ => Abort::None,
        }
    }

    /// What the client is told, if it can still be told anything.
    pub(crate) const fn status(self) -> Option<u16> {
        match (self.cause, self.during) {
            (Cause::Normal | Cause::Client, _) => None,
            (Cause::ClientTimeout, During::Request | During::Data | During::Headers) => Some(408),
            (Cause::Proxy, During::Request | During::Data) => Some(400),
            (Cause::Proxy | Cause::Server | Cause::Killed, During::Headers) => Some(502),
            (Cause::ServerTimeout, During::Headers) => Some(504),
            (Cause::Internal, _) => Some(500),
            (Cause::Server | Cause::ServerTimeout, During::Connect | During::Queue)
            | (Cause::Resource | Cause::Down | Cause::Killed, _) => Some(503),
            _ => None,
        }
    }
}

impl Default for SessionEnd {
    fn default() -> Self {
        Self::NORMAL
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_map_to_haproxys_letters_and_statuses() {
        let cases = [
            (Cause::Server, During::Connect, *b"SC", Some(503)),
            (Cause::ServerTimeout, During::Connect, *b"sC", Some(503)),
            (Cause::Server, During::Headers, *b"SH", Some(502)),
            (Cause::Proxy, During::Headers, *b"PH", Some(502)),
            (Cause::ServerTimeout, During::Headers, *b"sH", Some(504)),
            (Cause::Client, During::Connect, *b"CC", None),
            (Cause::Client, During::Headers, *b"CH", None),
            (Cause::Proxy, During::Request, *b"PR", Some(400)),
            (Cause::ClientTimeout, During::Request, *b"cR", Some(408)),
            (Cause::ServerTimeout, During::Queue, *b"sQ", Some(503)),
            (Cause::Server, During::Queue, *b"SQ", Some(503)),
            (Cause::Client, During::Queue, *b"CQ", None),
            (Cause::Server, During::Data, *b"SD", None),
            (Cause::Client, During::Data, *b"CD", None),
            (Cause::Normal, During::Nothing, *b"--", None),
        ];
        for (cause, during, letters, status) in cases {
            let end = SessionEnd::new(cause, during);
            assert_eq!((end.letters(), end.status()), (letters, status));
        }
    }
}
