//! A small gRPC service and its client, written by hand: messages are numbers.

use std::convert::Infallible;
use std::future::{Future, pending, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut};
use http::uri::PathAndQuery;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_stream::{Stream, StreamExt, iter};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::Service;
use tonic::server::{
    ClientStreamingService, NamedService, ServerStreamingService, StreamingService, UnaryService,
};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

type Numbers = Pin<Box<dyn Stream<Item = Result<u64, Status>> + Send>>;
type Work<T> = Pin<Box<dyn Future<Output = Result<Response<T>, Status>> + Send>>;

/// The server's side.
#[derive(Debug, Clone)]
pub(super) struct Calculator {
    /// Tells when a call that was waiting is dropped.
    dropped: UnboundedSender<()>,
    /// Messages of endless calls so far.
    pub(super) made: Arc<AtomicU64>,
}

impl Calculator {
    pub(super) fn new() -> (Self, UnboundedReceiver<()>) {
        let (dropped, dropping) = unbounded_channel();
        let made = Arc::default();
        (Self { dropped, made }, dropping)
    }

    /// Serves at a free address, for as long as its runtime runs.
    #[expect(clippy::disallowed_methods, reason = "a test's own runtime")]
    pub(super) async fn serve(self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let incoming = tonic::transport::server::TcpIncoming::from(listener);
        let serving = Server::builder().add_service(self);
        tokio::spawn(serving.serve_with_incoming(incoming));
        addr
    }
}

impl NamedService for Calculator {
    const NAME: &'static str = "test.Calculator";
}

impl Service<http::Request<Body>> for Calculator {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let mut grpc = tonic::server::Grpc::new(Plain);
            Ok(match request.uri().path().rsplit('/').next() {
                Some("Double") => grpc.unary(this, request).await,
                Some("Sum") => grpc.client_streaming(this, request).await,
                Some("Count") => grpc.server_streaming(this, request).await,
                _ => grpc.streaming(this, request).await,
            })
        })
    }
}

/// Doubles; 0 waits for ever, and 1 until the deadline it was given has passed.
impl UnaryService<u64> for Calculator {
    type Response = u64;
    type Future = Work<u64>;

    fn call(&mut self, request: Request<u64>) -> Self::Future {
        let guard = Guard(self.dropped.clone());
        Box::pin(async move {
            let deadline = request.metadata().get("grpc-timeout").cloned();
            match request.into_inner() {
                0 => {
                    let _guard = guard;
                    pending().await
                }
                1 => {
                    let deadline = deadline.expect("it is passed on");
                    let millis = deadline.to_str().unwrap().trim_end_matches('m');
                    let millis: u64 = millis.trim_end_matches('u').parse().unwrap();
                    Err(Status::deadline_exceeded(format!("within {millis}")))
                }
                number => {
                    let mut response = Response::new(number * 2);
                    response
                        .metadata_mut()
                        .insert("x-told", "yes".parse().unwrap());
                    Ok(response)
                }
            }
        })
    }
}

impl ClientStreamingService<u64> for Calculator {
    type Response = u64;
    type Future = Work<u64>;

    fn call(&mut self, request: Request<Streaming<u64>>) -> Self::Future {
        Box::pin(async move {
            let mut sum = 0;
            let mut numbers = request.into_inner();
            while let Some(number) = numbers.message().await? {
                sum += number;
            }
            Ok(Response::new(sum))
        })
    }
}

/// Counts to a number; to 0 without end.
impl ServerStreamingService<u64> for Calculator {
    type Response = u64;
    type ResponseStream = Numbers;
    type Future = Work<Numbers>;

    fn call(&mut self, request: Request<u64>) -> Self::Future {
        let guard = Guard(self.dropped.clone());
        let made = Arc::clone(&self.made);
        let numbers: Numbers = match request.into_inner() {
            0 => Box::pin(iter(0_u64..).map(move |number| {
                let _ = &guard;
                made.fetch_add(1, Ordering::Relaxed);
                Ok(number)
            })),
            to => Box::pin(iter((0..to).map(Ok))),
        };
        Box::pin(ready(Ok(Response::new(numbers))))
    }
}

/// Says each number again; behind 0 nothing more, behind 13 an error.
impl StreamingService<u64> for Calculator {
    type Response = u64;
    type ResponseStream = Numbers;
    type Future = Work<Numbers>;

    fn call(&mut self, request: Request<Streaming<u64>>) -> Self::Future {
        let guard = Guard(self.dropped.clone());
        let numbers = request.into_inner().then(move |number| {
            let _ = &guard;
            async move {
                match number {
                    Ok(0) => pending().await,
                    Ok(13) => Err(Status::out_of_range("unlucky")),
                    other => other,
                }
            }
        });
        Box::pin(ready(Ok(Response::new(Box::pin(numbers) as Numbers))))
    }
}

struct Guard(UnboundedSender<()>);

impl Drop for Guard {
    fn drop(&mut self) {
        // Nobody may be looking.
        let _ = self.0.send(());
    }
}

/// The client's side.
pub(super) struct Client(tonic::client::Grpc<Channel>);

impl Client {
    pub(super) async fn connect(addr: SocketAddr) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{addr}")).unwrap();
        Self(tonic::client::Grpc::new(endpoint.connect().await.unwrap()))
    }

    pub(super) async fn double(&mut self, number: u64) -> Result<Response<u64>, Status> {
        self.double_within(number, None).await
    }

    pub(super) async fn double_within(
        &mut self,
        number: u64,
        within: Option<Duration>,
    ) -> Result<Response<u64>, Status> {
        let mut request = Request::new(number);
        if let Some(within) = within {
            request.set_timeout(within);
        }
        self.0.ready().await.unwrap();
        self.0.unary(request, path("Double"), Plain).await
    }

    pub(super) async fn sum(&mut self, numbers: Vec<u64>) -> Result<u64, Status> {
        self.0.ready().await.unwrap();
        let request = Request::new(iter(numbers));
        let answer = self.0.client_streaming(request, path("Sum"), Plain).await?;
        Ok(answer.into_inner())
    }

    pub(super) async fn count(&mut self, to: u64) -> Result<Streaming<u64>, Status> {
        self.0.ready().await.unwrap();
        let request = Request::new(to);
        let answer = self
            .0
            .server_streaming(request, path("Count"), Plain)
            .await?;
        Ok(answer.into_inner())
    }

    /// What is sent into the one comes out of the other.
    pub(super) async fn echo(&mut self) -> Result<(UnboundedSender<u64>, Streaming<u64>), Status> {
        self.0.ready().await.unwrap();
        let (sender, mut numbers) = unbounded_channel();
        let request = Request::new(async_stream(move |cx| numbers.poll_recv(cx)));
        let answer = self.0.streaming(request, path("Echo"), Plain).await?;
        Ok((sender, answer.into_inner()))
    }
}

fn path(method: &str) -> PathAndQuery {
    let path = format!("/test.Calculator/{method}");
    path.try_into().unwrap()
}

/// A stream of what `poll` gives.
fn async_stream<P>(poll: P) -> FromPoll<P>
where
    P: FnMut(&mut Context<'_>) -> Poll<Option<u64>> + Unpin,
{
    FromPoll(poll)
}

struct FromPoll<P>(P);

impl<P> Stream for FromPoll<P>
where
    P: FnMut(&mut Context<'_>) -> Poll<Option<u64>> + Unpin,
{
    type Item = u64;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<u64>> {
        (self.0)(cx)
    }
}

/// Eight bytes a number.
#[derive(Debug, Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = u64;
    type Decode = u64;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Plain {
    type Item = u64;
    type Error = Status;

    fn encode(&mut self, number: u64, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
        to.put_u64(number);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = u64;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<u64>, Status> {
        Ok((from.remaining() >= 8).then(|| from.get_u64()))
    }
}
