//! Origins that say who they are.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::runtime::{Builder, LocalOptions};

/// How long an origin fails its checks when asked to.
const DOWN: Duration = Duration::from_secs(10);
/// What visitors want, by number.
pub(super) const ITEM: &str = "/item/";
/// What goes wrong.
pub(super) const BROKEN: &str = "/broken";

/// Four small HTTP servers.
pub(super) struct Origins {
    listeners: [TcpListener; 4],
    pub(super) addresses: [SocketAddr; 4],
}

/// One of them.
struct Origin {
    name: &'static str,
    down_until: std::cell::Cell<Option<Instant>>,
}

impl Origins {
    pub(super) fn open() -> io::Result<Self> {
        let open = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listeners = [open()?, open()?, open()?, open()?];
        let [a, b, c, d] = &listeners;
        let addresses = [
            a.local_addr()?,
            b.local_addr()?,
            c.local_addr()?,
            d.local_addr()?,
        ];
        for listener in &listeners {
            listener.set_nonblocking(true)?;
        }
        Ok(Self {
            listeners,
            addresses,
        })
    }

    /// Serves on a thread of its own until the process ends.
    pub(super) fn serve(self) -> io::Result<()> {
        let mut builder = Builder::new_current_thread();
        builder.enable_all();
        std::thread::Builder::new()
            .name("origins".into())
            .spawn(move || {
                let runtime = builder.build_local(LocalOptions::default())?;
                runtime.block_on(async {
                    let [a, b, c, d] = self.listeners;
                    tokio::try_join!(
                        accept(a, "s1"),
                        accept(b, "s2"),
                        accept(c, "s3"),
                        accept(d, "s4")
                    )
                })
            })?;
        Ok(())
    }
}

async fn accept(listener: TcpListener, name: &'static str) -> io::Result<Infallible> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let origin = Rc::new(Origin {
        name,
        down_until: std::cell::Cell::new(None),
    });
    loop {
        // Out of descriptors for a moment, or a client that has gone.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::task::yield_now().await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let origin = Rc::clone(&origin);
        let service = service_fn(move |request| {
            let response = origin.answer(&request);
            let work = origin.work(request.uri().path());
            async move {
                if !work.is_zero() {
                    tokio::time::sleep(work).await;
                }
                Ok::<_, Infallible>(response)
            }
        });
        tokio::task::spawn_local(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

impl Origin {
    /// How long it takes for what visitors want; anybody else is answered at once.
    fn work(&self, path: &str) -> Duration {
        let Some(number) = path.strip_prefix(ITEM) else {
            return Duration::ZERO;
        };
        let number: u64 = number.parse().unwrap_or(0);
        // Most are quick, one in twelve is not, and each origin is as slow as its number.
        let base = if number.is_multiple_of(12) {
            40
        } else {
            3 + number % 9
        };
        Duration::from_millis(base * (1 + u64::from(self.name.ends_with('3'))))
    }

    /// Says who it is, and what it was told about the client.
    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let is_check = request.method() == Method::HEAD && request.uri().path() == "/";
        if is_check
            && self
                .down_until
                .get()
                .is_some_and(|until| Instant::now() < until)
        {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            return response;
        }
        if request.uri().path() == BROKEN {
            let mut response = Response::new(Full::new("out of order\n".into()));
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            return response;
        }
        let mut text = format!(
            "{}: {} {}\n",
            self.name,
            request.method(),
            request.uri().path()
        );
        if request.uri().path() == "/down" {
            self.down_until.set(Some(Instant::now() + DOWN));
            let _ = writeln!(text, "fails its checks for {} s", DOWN.as_secs());
        }
        for (name, value) in request.headers() {
            if name.as_str().starts_with("x-forwarded-") {
                let value = String::from_utf8_lossy(value.as_bytes());
                let _ = writeln!(text, "  {name}: {value}");
            }
        }
        let mut response = Response::new(Full::new(text.into()));
        let plain = HeaderValue::from_static("text/plain; charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}
