//! A client whose heads are fields: the library, driven from a test's thread.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{HeaderMap, Request, Response};
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use crate::support::PATIENCE;

/// One connection.
pub(super) struct Client {
    runtime: Runtime,
    requests: SendRequest<Bytes>,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) head: Response<()>,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

impl Client {
    #[track_caller]
    pub(super) fn connect(addr: SocketAddr) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let requests = runtime.block_on(async {
            let stream = tokio::net::TcpStream::connect(addr).await.unwrap();
            let (requests, connection) = h2::client::handshake(stream).await.unwrap();
            #[expect(clippy::disallowed_methods, reason = "a test's own runtime")]
            tokio::spawn(connection);
            requests
        });
        Self { runtime, requests }
    }

    /// Sends it all, then reads it all.
    pub(super) fn ask(
        &mut self,
        request: Request<&[u8]>,
        trailers: Option<HeaderMap>,
    ) -> Result<Answer, h2::Error> {
        let (parts, body) = request.into_parts();
        let body = Bytes::copy_from_slice(body);
        let requests = self.requests.clone();
        let exchange = async move {
            let mut requests = requests.ready().await?;
            let ended = body.is_empty() && trailers.is_none();
            let request = Request::from_parts(parts, ());
            let (answer, mut stream) = requests.send_request(request, ended)?;
            if !ended {
                stream.send_data(body, trailers.is_none())?;
            }
            if let Some(trailers) = trailers {
                stream.send_trailers(trailers)?;
            }
            let (head, mut body) = answer.await?.into_parts();
            let mut bytes = Vec::new();
            while let Some(data) = body.data().await {
                let data = data?;
                body.flow_control().release_capacity(data.len())?;
                bytes.extend(data);
            }
            Ok(Answer {
                head: Response::from_parts(head, ()),
                body: bytes.into(),
                trailers: body.trailers().await?,
            })
        };
        let timed = async { timeout(PATIENCE, exchange).await };
        self.runtime.block_on(timed).expect("an answer in time")
    }

    /// So many at once, answered all.
    #[track_caller]
    pub(super) fn get_at_once(&mut self, path: &str, count: usize) -> Vec<Answer> {
        let sent = self.send_at_once(path, count);
        let all = async {
            let mut answers = Vec::new();
            for answer in sent {
                let (head, mut body) = answer.await.unwrap().into_parts();
                while let Some(data) = body.data().await {
                    body.flow_control()
                        .release_capacity(data.unwrap().len())
                        .unwrap();
                }
                answers.push(Answer {
                    head: Response::from_parts(head, ()),
                    body: Bytes::new(),
                    trailers: None,
                });
            }
            answers
        };
        let timed = async { timeout(PATIENCE, all).await };
        self.runtime.block_on(timed).expect("answers in time")
    }

    /// The same, and waits for none.
    #[track_caller]
    pub(super) fn send_at_once(&mut self, path: &str, count: usize) -> Vec<ResponseFuture> {
        let requests = self.requests.clone();
        let sending = async move {
            let mut requests = requests.ready().await.unwrap();
            let mut sent = Vec::new();
            for _ in 0..count {
                requests = requests.ready().await.unwrap();
                let request = Request::builder().uri(format!("http://test{path}"));
                let (answer, _) = requests
                    .send_request(request.body(()).unwrap(), true)
                    .unwrap();
                sent.push(answer);
            }
            // What was sent is to be there.
            tokio::task::yield_now().await;
            sent
        };
        let timed = async { timeout(PATIENCE, sending).await };
        self.runtime.block_on(timed).expect("streams in time")
    }

    /// GET of this path.
    #[track_caller]
    pub(super) fn get(&mut self, path: &str) -> Answer {
        self.ask(request("GET", path), None).unwrap()
    }
}

/// Without a body.
pub(super) fn request(method: &str, path: &str) -> Request<&'static [u8]> {
    with_body(method, path, b"")
}

pub(super) fn with_body<'a>(method: &str, path: &str, body: &'a [u8]) -> Request<&'a [u8]> {
    let uri = format!("http://test{path}");
    let request = Request::builder().method(method).uri(uri);
    request.body(body).unwrap()
}

/// The same with one more field.
pub(super) fn field<'a>(
    mut request: Request<&'a [u8]>,
    name: &'static str,
    value: &str,
) -> Request<&'a [u8]> {
    request.headers_mut().append(name, value.parse().unwrap());
    request
}
