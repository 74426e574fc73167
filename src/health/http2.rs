//! Probes of servers that speak HTTP/2: a request, or gRPC's own health check
//! (grpc.health.v1, "GRPC Health Checking Protocol").

use std::future::Future;
use std::pin::pin;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri};

use crate::net::AnyStream;

/// The same request for HTTP/2: its Host is the authority, and what is of a
/// connection (9113 8.2.2) is left out.
pub(super) fn from_http1<B>(request: Request<B>, scheme: &str) -> http::Result<Request<()>> {
    let (mut parts, _) = request.into_parts();
    let host = parts.headers.remove(HOST);
    let host = host.unwrap_or(HeaderValue::from_static(""));
    for name in [
        CONNECTION,
        TRANSFER_ENCODING,
        UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        HeaderName::from_static("te"),
    ] {
        parts.headers.remove(name);
    }
    let path = parts.uri.path_and_query();
    let path = path.map_or("/", |path| path.as_str());
    parts.uri = Uri::builder()
        .scheme(scheme)
        .authority(host.as_bytes())
        .path_and_query(path)
        .build()?;
    Ok(Request::from_parts(parts, ()))
}

/// The head of a health check of gRPC.
pub(super) fn health_request(scheme: &str, host: &str) -> http::Result<Request<()>> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(host)
        .path_and_query(CHECK)
        .build()?;
    Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
}

/// Status of the answer; of the rest of it nothing is read.
pub(super) async fn status(
    stream: AnyStream,
    request: Request<()>,
) -> Result<StatusCode, h2::Error> {
    with_connection(stream, |mut requests| async move {
        let (answer, _) = requests.send_request(request, true)?;
        Ok(answer.await?.status())
    })
    .await
}

/// Status of the answer, and whether it says that the service serves.
pub(super) async fn is_serving(
    stream: AnyStream,
    request: Request<()>,
    service: &str,
) -> Result<(StatusCode, bool), h2::Error> {
    let question = question(service);
    with_connection(stream, |mut requests| async move {
        let (answer, mut up) = requests.send_request(request, false)?;
        up.send_data(question, true)?;
        let (head, mut body) = answer.await?.into_parts();
        let mut message = Vec::new();
        while let Some(data) = body.data().await {
            message.extend_from_slice(&data?);
            // A window full of it will never come: who says more than that is no server of ours.
            if message.len() > ANSWER_MAX {
                return Ok((head.status, false));
            }
        }
        // Without a message the head is the trailers too.
        let trailers = body.trailers().await?.unwrap_or_default();
        let is_ok = is_ok(&trailers) || is_ok(&head.headers);
        let serves = head.status == StatusCode::OK && is_ok && says_serving(&message);
        Ok((head.status, serves))
    })
    .await
}

/// Drives a connection as long as `work` needs it: no task of its own, so that when
/// the probe is dropped, all of it is.
async fn with_connection<W, T>(
    stream: AnyStream,
    work: impl FnOnce(SendRequest<Bytes>) -> W,
) -> Result<T, h2::Error>
where
    W: Future<Output = Result<T, h2::Error>>,
{
    let (requests, mut connection) = Builder::new()
        .enable_push(false)
        .max_header_list_size(HEAD_MAX)
        .handshake(stream)
        .await?;
    let mut work = pin!(work(requests));
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            done = &mut work => return done,
            // How it ended is told to whoever waits for an answer.
            _ = &mut connection, if !over => over = true,
        }
    }
}

/// `HealthCheckRequest { service = 1 }` behind the head of a message that is not
/// compressed.
fn question(service: &str) -> Bytes {
    // A length of 127 is the longest in one byte, and the longest name that is taken.
    let len = u8::try_from(service.len().min(127)).unwrap_or(127);
    let message = match len {
        0 => Vec::new(),
        len => [&[SERVICE, len], &service.as_bytes()[..usize::from(len)]].concat(),
    };
    let len = u8::try_from(message.len()).unwrap_or(u8::MAX);
    [&[0, 0, 0, 0, len][..], &message].concat().into()
}

/// `HealthCheckResponse { status = SERVING }`; every other status, and none, is not.
fn says_serving(body: &[u8]) -> bool {
    let Some(([0, len @ ..], message)) = body.split_first_chunk::<5>() else {
        return false;
    };
    u32::from_be_bytes(*len) as usize == message.len() && message.starts_with(&SERVING)
}

fn is_ok(fields: &HeaderMap) -> bool {
    fields.get("grpc-status").is_some_and(|code| code == "0")
}

const CHECK: &str = "/grpc.health.v1.Health/Check";
/// Tags of protobuf: field 1 as text; field 1 as number, with the number 1.
const SERVICE: u8 = 0x0a;
const SERVING: [u8; 2] = [0x08, 1];
/// Bytes of an answer's message. It has seven.
const ANSWER_MAX: usize = 1 << 10;
/// Most bytes of an answer's head, as for traffic.
const HEAD_MAX: u32 = 60 << 10;

#[cfg(test)]
mod tests {
    use http::Response;
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    /// What a server answers: status, message, `grpc-status` of its trailers.
    #[derive(Debug, Clone, Copy)]
    struct Says(u16, &'static [u8], Option<&'static str>);

    /// Answers one request; returns its head and its body.
    async fn serve(stream: DuplexStream, says: Says) -> (Request<()>, Vec<u8>) {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let (request, mut respond) = connection.accept().await.unwrap().unwrap();
        let (head, mut body) = request.into_parts();
        let working = async {
            let mut asked = Vec::new();
            while let Some(data) = body.data().await {
                asked.extend_from_slice(&data.unwrap());
            }
            let Says(status, message, code) = says;
            let answer = Response::builder().status(status).body(()).unwrap();
            let mut answer = respond.send_response(answer, false).unwrap();
            answer
                .send_data(Bytes::from_static(message), code.is_none())
                .unwrap();
            if let Some(code) = code {
                let mut trailers = HeaderMap::new();
                trailers.insert("grpc-status", HeaderValue::from_static(code));
                answer.send_trailers(trailers).unwrap();
            }
            asked
        };
        let mut working = pin!(working);
        let asked = tokio::select! {
            biased;
            asked = &mut working => asked,
            _ = connection.accept() => panic!("one request"),
        };
        // Whatever was handed in leaves; then the prober hangs up.
        while connection.accept().await.is_some_and(|next| next.is_ok()) {}
        (Request::from_parts(head, ()), asked)
    }

    async fn check(service: &str, says: Says) -> (Option<(u16, bool)>, Request<()>, Vec<u8>) {
        let (ours, theirs) = duplex(64 << 10);
        let request = health_request("http", "10.0.0.1:80").unwrap();
        let asking = async { is_serving(Box::new(ours), request, service).await.ok() };
        let (answer, (head, asked)) = tokio::join!(asking, serve(theirs, says));
        (
            answer.map(|(status, serves)| (status.as_u16(), serves)),
            head,
            asked,
        )
    }

    #[tokio::test]
    async fn only_serving_passes() {
        for (says, serves) in [
            ((200, &b"\0\0\0\0\x02\x08\x01"[..], Some("0")), true),
            // NOT_SERVING, SERVICE_UNKNOWN, and UNKNOWN, which is not written.
            ((200, b"\0\0\0\0\x02\x08\x02", Some("0")), false),
            ((200, b"\0\0\0\0\x02\x08\x03", Some("0")), false),
            ((200, b"\0\0\0\0\0", Some("0")), false),
            // NOT_FOUND, whatever else is said; compressed; a wrong length; no gRPC.
            ((200, b"\0\0\0\0\x02\x08\x01", Some("5")), false),
            ((200, b"\x01\0\0\0\x02\x08\x01", Some("0")), false),
            ((200, b"\0\0\0\0\x03\x08\x01", Some("0")), false),
            ((200, b"\0\0\0\0\x02\x08\x01", None), false),
            ((404, b"\0\0\0\0\x02\x08\x01", Some("0")), false),
            ((200, &[0; 2000], Some("0")), false),
        ] {
            let says = Says(says.0, says.1, says.2);
            let (answer, ..) = check("", says).await;
            assert_eq!(answer, Some((says.0, serves)), "{says:?}");
        }
    }

    #[tokio::test]
    async fn a_service_is_asked_for_by_name() {
        let says = Says(200, b"\0\0\0\0\x02\x08\x01", Some("0"));
        let (_, head, asked) = check("shop.Cart", says).await;
        assert_eq!(head.method(), Method::POST);
        let uri = "http://10.0.0.1:80/grpc.health.v1.Health/Check";
        assert_eq!(head.uri().to_string(), uri);
        assert_eq!(head.headers()["content-type"], "application/grpc");
        assert_eq!(head.headers()["te"], "trailers");
        assert_eq!(asked, b"\0\0\0\0\x0b\x0a\x09shop.Cart");
        let (_, _, asked) = check("", says).await;
        assert_eq!(asked, b"\0\0\0\0\0");
    }

    #[tokio::test]
    async fn a_request_loses_what_is_of_a_connection() {
        let request = Request::builder()
            .method("HEAD")
            .uri("/up?a=b")
            .header("host", "demo.example.com")
            .header("connection", "close")
            .header("x-a", "1")
            .body(())
            .unwrap();
        let request = from_http1(request, "https").unwrap();
        let (ours, theirs) = duplex(64 << 10);
        let asking = status(Box::new(ours), request);
        let (status, (head, _)) = tokio::join!(asking, serve(theirs, Says(204, b"", None)));
        assert_eq!(status.unwrap(), StatusCode::NO_CONTENT);
        assert_eq!(head.method(), Method::HEAD);
        assert_eq!(head.uri().to_string(), "https://demo.example.com/up?a=b");
        assert_eq!(head.headers().len(), 1);
        assert_eq!(head.headers()["x-a"], "1");
    }
}
