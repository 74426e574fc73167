//! Both heads, header rewriting and chunked decoding: of the microsecond that a
//! request may cost, this room has 400 ns for both heads.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rlb::internal::http;

fn heads(c: &mut Criterion) {
    for (name, head) in [("small", SMALL), ("browser", BROWSER)] {
        c.bench_function(&format!("request head/{name}/read"), |b| {
            b.iter(|| http::forward_request(black_box(head), None));
        });
        let mut out = Vec::with_capacity(4096);
        c.bench_function(&format!("request head/{name}/read and write"), |b| {
            b.iter(|| {
                out.clear();
                http::forward_request(black_box(head), Some(&mut out))
            });
        });
    }
    for (name, head) in [("small", SMALL_ANSWER), ("page", PAGE)] {
        c.bench_function(&format!("response head/{name}/read"), |b| {
            b.iter(|| http::forward_response(black_box(head), None));
        });
        let mut out = Vec::with_capacity(4096);
        c.bench_function(&format!("response head/{name}/read and write"), |b| {
            b.iter(|| {
                out.clear();
                http::forward_response(black_box(head), Some(&mut out))
            });
        });
    }
}

fn bodies(c: &mut Criterion) {
    let mut group = c.benchmark_group("chunked");
    for size in [16, 1024, 16 << 10] {
        let body = chunked(size, 64 << 10);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(format!("64 KiB by {size}"), |b| {
            b.iter_batched_ref(
                || body.clone(),
                |body| http::decode_chunked(body),
                BatchSize::LargeInput,
            );
        });
    }
    group.finish();
}

fn chunked(size: usize, total: usize) -> Vec<u8> {
    let chunk = [
        format!("{size:x}\r\n").as_bytes(),
        &vec![b'a'; size],
        b"\r\n",
    ]
    .concat();
    [&chunk.repeat(total / size)[..], b"0\r\n\r\n"].concat()
}

const SMALL: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

const BROWSER: &[u8] = b"GET /assets/app.js?v=3f9c21 HTTP/1.1\r\n\
    Host: www.example.com\r\n\
    Connection: keep-alive\r\n\
    sec-ch-ua: \"Chromium\";v=\"130\", \"Not?A_Brand\";v=\"99\"\r\n\
    sec-ch-ua-mobile: ?0\r\n\
    sec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36\r\n\
    Accept: */*\r\n\
    Sec-Fetch-Site: same-origin\r\n\
    Sec-Fetch-Mode: no-cors\r\n\
    Sec-Fetch-Dest: script\r\n\
    Referer: https://www.example.com/\r\n\
    Accept-Encoding: gzip, deflate, br, zstd\r\n\
    Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n\
    Cookie: session=6f1f6a3b0c8e4d5f9a7b; theme=dark; _ga=GA1.1.1234567890.1700000000\r\n\
    If-None-Match: \"65f1c2aa-1f3c\"\r\n\r\n";

const SMALL_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Server: nginx/1.22.1\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Content-Type: text/plain\r\n\
    Content-Length: 3\r\n\
    Connection: keep-alive\r\n\r\n";

const PAGE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
    Server: Apache\r\n\
    Content-Type: text/html; charset=utf-8\r\n\
    Transfer-Encoding: chunked\r\n\
    Connection: keep-alive\r\n\
    Vary: Accept-Encoding\r\n\
    Cache-Control: private, max-age=0, must-revalidate\r\n\
    ETag: W/\"5f3c-18e2a\"\r\n\
    Last-Modified: Sat, 05 Nov 1994 10:00:00 GMT\r\n\
    Set-Cookie: session=6f1f6a3b0c8e4d5f9a7b; Path=/; HttpOnly; Secure; SameSite=Lax\r\n\
    Set-Cookie: theme=dark; Path=/\r\n\
    Content-Security-Policy: default-src 'self'; img-src *\r\n\
    Strict-Transport-Security: max-age=31536000\r\n\
    X-Content-Type-Options: nosniff\r\n\r\n";

criterion_group!(benches, heads, bodies);
criterion_main!(benches);
