//! Visitors: traffic of the demo's own, so that the first look at its page is not
//! one at zeros.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::{Instant, sleep};

use super::origins::{BROKEN, ITEM};

/// Where they go.
pub(super) struct Visited {
    /// The frontend they ask.
    pub(super) shop: SocketAddr,
    /// The origin that is asked to fail now and then.
    pub(super) failing: SocketAddr,
}

const VISITORS: u64 = 6;
/// Their eagerness comes and goes in this time.
const WAVE: Duration = Duration::from_secs(80);
/// A visitor comes with a new connection after so many requests.
const REQUESTS: u64 = 40;
const FIRST_FAILURE: Duration = Duration::from_secs(25);
const FAILURES: Duration = Duration::from_secs(60);
/// After a connection that was refused.
const RETRY: Duration = Duration::from_millis(500);

/// Lets them go on a thread of their own until the process ends.
pub(super) fn start(visited: Visited) -> io::Result<()> {
    let mut builder = Builder::new_current_thread();
    builder.enable_all();
    std::thread::Builder::new()
        .name("visitors".into())
        .spawn(move || {
            let runtime = builder.build_local(LocalOptions::default())?;
            runtime.block_on(async {
                for number in 0..VISITORS {
                    tokio::task::spawn_local(visit(visited.shop, number));
                }
                fail_now_and_then(visited.failing).await
            })
        })?;
    Ok(())
}

async fn fail_now_and_then(origin: SocketAddr) -> io::Result<Infallible> {
    sleep(FIRST_FAILURE).await;
    loop {
        // An origin that does not answer fails anyway.
        let _ = ask(origin, ["/down".to_owned()].into_iter(), |_| Duration::ZERO).await;
        sleep(FAILURES).await;
    }
}

async fn visit(shop: SocketAddr, number: u64) {
    let start = Instant::now();
    let mut seed = number;
    loop {
        let wishes = (0..REQUESTS).map(|_| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            match (seed >> 33) % 150 {
                0 => BROKEN.to_owned(),
                item => format!("{ITEM}{item}"),
            }
        });
        let pause = |request: u64| {
            let wave = start.elapsed().as_secs_f64() / WAVE.as_secs_f64() * std::f64::consts::TAU;
            let calm = 55.0 - 35.0 * wave.sin() + (request * 7 % 11) as f64;
            Duration::from_secs_f64(calm / 1000.0)
        };
        if ask(shop, wishes, pause).await.is_err() {
            sleep(RETRY).await;
        }
    }
}

/// One connection, and a request for each path.
async fn ask(
    address: SocketAddr,
    paths: impl Iterator<Item = String>,
    pause: impl Fn(u64) -> Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(address).await?;
    let (mut requests, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::task::spawn_local(connection);
    for (number, path) in (0..).zip(paths) {
        let request = Request::get(path)
            .header("host", "shop.example")
            .body(Empty::<Bytes>::new())?;
        let response = requests.send_request(request).await?;
        response.into_body().collect().await?;
        sleep(pause(number)).await;
    }
    Ok(())
}
