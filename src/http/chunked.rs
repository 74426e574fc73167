//! The chunked transfer coding (9112 7.1), strict to the byte.

use super::BodyError;
use super::trailer::{TRAILERS_MAX, sanitise};

/// State within a chunked body. Every byte outside of data is looked at: none is
/// taken for CRLF unseen.
#[derive(Debug, Default)]
pub(crate) struct Chunked {
    state: State,
    /// The size while it is read, then bytes of data left.
    left: u64,
    /// Bytes of the running chunk line.
    line: u16,
    /// Extension bytes so far, of all chunks.
    extensions: u16,
    trailers: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    /// Before the first digit.
    #[default]
    Start,
    Size,
    Extension,
    Quoted,
    /// After a backslash in a quoted string.
    Escaped,
    LineLf,
    Data,
    DataCr,
    DataLf,
    /// After the last chunk: a trailer line or the end.
    End,
    EndLf,
    Trailers,
    Done,
    Failed(BodyError),
}

impl Chunked {
    /// See [`Decoder::decode`](super::Decoder::decode).
    pub(super) fn decode(&mut self, buf: &mut [u8]) -> Result<super::Decoded, BodyError> {
        let (mut at, mut data) = (0, 0);
        while at < buf.len() && self.state != State::Done {
            let eaten = match self.state {
                State::Data => {
                    let bytes = self.data(buf.len() - at);
                    if at != data {
                        buf.copy_within(at..at + bytes, data);
                    }
                    data += bytes;
                    Ok(bytes)
                }
                State::Trailers => self.trailer_bytes(&buf[at..]),
                _ => self.step(buf[at]).map(|()| 1),
            };
            at += eaten.inspect_err(|error| self.state = State::Failed(*error))?;
        }
        if let State::Failed(error) = self.state {
            return Err(error);
        }
        Ok(super::Decoded {
            consumed: at,
            data,
            end: self.finished(),
        })
    }

    pub(super) fn finished(&self) -> bool {
        self.state == State::Done
    }

    pub(super) fn take_trailers(&mut self) -> Option<Vec<u8>> {
        if !self.finished() {
            return None;
        }
        self.trailers.take()
    }

    /// Takes as much of `available` bytes as the chunk still has.
    fn data(&mut self, available: usize) -> usize {
        let bytes = usize::try_from(self.left).map_or(available, |left| left.min(available));
        self.left -= bytes as u64;
        if self.left == 0 {
            self.state = State::DataCr;
        }
        bytes
    }

    /// One byte outside of data and trailers.
    fn step(&mut self, byte: u8) -> Result<(), BodyError> {
        self.state = match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                self.count()?;
                self.digit(byte)?;
                State::Size
            }
            (State::Size, b';') => {
                self.count()?;
                State::Extension
            }
            (State::Size | State::Extension, b'\r') => State::LineLf,
            (State::Extension | State::Quoted | State::Escaped, _) => self.extension(byte)?,
            (State::LineLf, b'\n') => {
                self.line = 0;
                if self.left == 0 {
                    State::End
                } else {
                    State::Data
                }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Start,
            (State::End, b'\r') => State::EndLf,
            (State::EndLf, b'\n') => State::Done,
            (State::End, _) => {
                self.trailers = Some(Vec::new());
                self.trailer_bytes(&[byte])?;
                State::Trailers
            }
            (State::DataCr | State::DataLf, _) => return Err(BodyError::ChunkEnd),
            (State::EndLf, _) => return Err(BodyError::Trailer),
            (State::Start | State::Size | State::LineLf, _) => return Err(BodyError::ChunkSize),
            (State::Failed(error), _) => return Err(error),
            (State::Data | State::Trailers | State::Done, _) => self.state,
        };
        Ok(())
    }

    /// No sign, no `0x`, no overflow; leading zeros count for the line's limit alone.
    fn digit(&mut self, byte: u8) -> Result<(), BodyError> {
        let digit = char::from(byte).to_digit(16).unwrap_or_default();
        let shifted = self.left.checked_mul(16).ok_or(BodyError::ChunkSize)?;
        self.left = shifted | u64::from(digit);
        Ok(())
    }

    /// Extensions are dropped; they are read for their end alone (9112 7.1.1).
    fn extension(&mut self, byte: u8) -> Result<State, BodyError> {
        self.count()?;
        self.extensions += 1;
        if self.extensions > EXTENSIONS_MAX {
            return Err(BodyError::Extensions);
        }
        match (self.state, byte) {
            (_, 0x7f | 0..=0x08 | 0x0a..=0x1f) => Err(BodyError::Extension),
            (State::Extension, b'"') => Ok(State::Quoted),
            (State::Quoted, b'"') | (State::Extension, _) => Ok(State::Extension),
            (State::Quoted, b'\\') => Ok(State::Escaped),
            _ => Ok(State::Quoted),
        }
    }

    fn count(&mut self) -> Result<(), BodyError> {
        self.line += 1;
        if self.line > LINE_MAX {
            return Err(BodyError::ChunkLine);
        }
        Ok(())
    }

    /// Keeps trailer lines until the empty one; a whole section is then read at once.
    /// Returns how many bytes belong to the section.
    #[cold]
    fn trailer_bytes(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let section = self.trailers.get_or_insert_default();
        for (at, byte) in bytes.iter().enumerate() {
            if section.len() == TRAILERS_MAX {
                return Err(BodyError::TrailerTooLong);
            }
            section.push(*byte);
            if *byte == b'\n' && !section.ends_with(b"\r\n") {
                return Err(BodyError::Trailer);
            }
            if section.ends_with(b"\r\n\r\n") {
                *section = sanitise(section)?;
                if section.is_empty() {
                    self.trailers = None;
                }
                self.state = State::Done;
                return Ok(at + 1);
            }
        }
        Ok(bytes.len())
    }
}

/// Longest chunk line without its CRLF: room for sixteen digits and an extension.
const LINE_MAX: u16 = 256;

/// Most extension bytes of a body, a little less than hyper takes.
const EXTENSIONS_MAX: u16 = 16_000;
