//! Descriptors over a Unix socket (SCM_RIGHTS, unix(7)).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;
use tokio::net::UnixStream;

/// The kernel takes no more in one message (SCM_MAX_FD).
const MESSAGE_MAX: usize = 253;

/// What carries descriptors: a message must have at least a byte of its own.
pub(crate) const CARRIER: u8 = b'\0';

/// Sends descriptors, as many [`CARRIER`] bytes as messages are needed.
///
/// # Errors
/// The peer is gone, or the kernel refuses (too many in flight).
pub(crate) async fn send_descriptors(stream: &UnixStream, fds: &[OwnedFd]) -> io::Result<()> {
    for some in fds.chunks(MESSAGE_MAX) {
        let borrowed: Vec<_> = some.iter().map(AsFd::as_fd).collect();
        stream
            .async_io(Interest::WRITABLE, || {
                let mut space =
                    [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_MAX))];
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                ancillary.push(SendAncillaryMessage::ScmRights(&borrowed));
                let carrier = [IoSlice::new(&[CARRIER])];
                Ok(sendmsg(
                    stream,
                    &carrier,
                    &mut ancillary,
                    SendFlags::NOSIGNAL,
                )?)
            })
            .await?;
    }
    Ok(())
}

/// Reads once: bytes and the descriptors that came with them; 0 = the end.
///
/// # Errors
/// As recvmsg(2), or descriptors were lost because the process may open no more.
pub(crate) fn receive(
    stream: &std::os::unix::net::UnixStream,
    bytes: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MESSAGE_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut target = [IoSliceMut::new(bytes)];
    let received = recvmsg(stream, &mut target, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(some) = message {
            fds.extend(some);
        }
    }
    if received.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
        return Err(io::Error::other(
            "descriptors were lost: the limit of open files (`ulimit -n`) is too low",
        ));
    }
    Ok(received.bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[tokio::test]
    async fn hundreds_of_descriptors_arrive_in_order() {
        let (from, to) = std::os::unix::net::UnixStream::pair().unwrap();
        from.set_nonblocking(true).unwrap();
        let from = UnixStream::from_std(from).unwrap();
        let mut readers = Vec::new();
        let mut writers = Vec::new();
        for _ in 0..300 {
            let (reader, writer) = rustix::pipe::pipe().unwrap();
            readers.push(reader);
            writers.push(writer);
        }
        send_descriptors(&from, &readers).await.unwrap();
        drop((from, readers));
        let (mut taken, mut bytes) = (Vec::new(), [0; 64]);
        let mut carriers = 0;
        loop {
            match receive(&to, &mut bytes, &mut taken).unwrap() {
                0 => break,
                length => carriers += length,
            }
        }
        assert_eq!((taken.len(), carriers), (300, 2));
        for (number, writer) in writers.into_iter().enumerate() {
            rustix::io::write(&writer, &(number as u32).to_ne_bytes()).unwrap();
        }
        for (number, reader) in taken.into_iter().enumerate() {
            let mut sent = [0; 4];
            std::fs::File::from(reader).read_exact(&mut sent).unwrap();
            assert_eq!(u32::from_ne_bytes(sent), number as u32);
        }
    }
}
