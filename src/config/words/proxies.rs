//! What rlb says instead of the words of nginx and Traefik.

pub(super) const WORDS: &[(&str, &str, &str)] = &[
    // nginx
    (
        "upstream",
        "nginx",
        "write [[backend]] with name = \"...\" and server = [\"10.0.0.11:80\"]",
    ),
    (
        "proxy_pass",
        "nginx",
        "write default_backend = \"...\" in the frontend, or backend in a [[frontend.route]]",
    ),
    (
        "location",
        "nginx",
        "write [[frontend.route]] with path_prefix and backend",
    ),
    (
        "server_name|server_names",
        "nginx",
        "write [[frontend.route]] with host = \"demo.example.com\"",
    ),
    ("listen|listener|port_bind", "nginx", "write bind = \":80\""),
    (
        "worker_processes|worker_threads|threads",
        "nginx",
        "write workers = 4 in [global], or \"auto\" for one per core",
    ),
    ("worker_connections", "nginx", "write maxconn in [global]"),
    (
        "worker_rlimit_nofile",
        "nginx",
        "not needed: the soft limit is raised to the hard one",
    ),
    (
        "worker_cpu_affinity",
        "nginx",
        "write pin = true in [global]",
    ),
    (
        "keepalive_timeout",
        "nginx",
        "write keep_alive = \"30s\" in [frontend.timeouts]",
    ),
    (
        "keepalive_requests",
        "nginx",
        "write keep_alive_requests in the frontend",
    ),
    (
        "keepalive",
        "nginx",
        "connections to servers are kept by themselves; pool_max says how many",
    ),
    (
        "proxy_connect_timeout",
        "nginx",
        "write connect = \"5s\" in [backend.timeouts]",
    ),
    (
        "proxy_read_timeout|proxy_send_timeout",
        "nginx",
        "write server = \"60s\" in [backend.timeouts]",
    ),
    (
        "client_header_timeout",
        "nginx",
        "write http_request = \"10s\" in [frontend.timeouts]",
    ),
    (
        "client_body_timeout|send_timeout",
        "nginx",
        "write client = \"30s\" in [frontend.timeouts]",
    ),
    (
        "client_max_body_size",
        "nginx",
        "write body = \"1MiB\" in [frontend.limits]",
    ),
    (
        "large_client_header_buffers|client_header_buffer_size",
        "nginx",
        "write head = \"32KiB\" and uri = \"16KiB\" in [frontend.limits]",
    ),
    (
        "proxy_set_header|add_header",
        "nginx",
        "X-Forwarded-* are set by [defaults.forwarded]; other headers are not in this version yet",
    ),
    (
        "set_real_ip_from",
        "nginx",
        "write trusted = [\"10.0.0.0/8\"] in [defaults.forwarded]; with `listen ... proxy_protocol`, proxy_protocol = { trusted = [...] } in the bind",
    ),
    (
        "proxy_next_upstream|proxy_next_upstream_tries",
        "nginx",
        "write retries = 3 in the backend",
    ),
    (
        "max_fails|fail_timeout",
        "nginx",
        "write `check` with fall and rise; observe_connect = true lets traffic count",
    ),
    (
        "least_conn",
        "nginx",
        "write balance = \"roundrobin\"; others are not in this version yet",
    ),
    (
        "ip_hash|hash",
        "nginx",
        "by address or hash is not in this version yet; write cookie = \"SERVERID\" in the backend to keep clients at their servers",
    ),
    ("down", "nginx", "write disabled = true"),
    (
        "ssl_certificate|ssl_certificate_key",
        "nginx",
        "write tls = { certificates = [\"site.pem\"] }; the key stands in the same file or beside it",
    ),
    (
        "access_log|error_log|log_format",
        "nginx",
        "write [[log]] tables: target = \"file:/var/log/rlb/access.log\"",
    ),
    (
        "events|stream",
        "nginx",
        "there is no such block; a frontend and backend with mode = \"tcp\" relay streams",
    ),
    (
        "return|deny|deny all|return 403",
        "nginx",
        "write deny = true (or a status, such as 404) in place of `backend` in a [[frontend.route]]; by networks is not in this version yet",
    ),
    (
        "rewrite|try_files|root|index",
        "nginx",
        "rlb forwards and does not serve files; rewriting is not in this version yet",
    ),
    (
        "proxy_cache|gzip|limit_req|limit_conn|auth_basic",
        "nginx",
        "not in this version yet",
    ),
    (
        "ssl_preread|ssl_preread_server_name|ssl_preread_alpn_protocols|preread_timeout|preread_buffer_size",
        "nginx",
        "write sni or alpn in a [[frontend.route]] of tcp mode",
    ),
    // Traefik
    (
        "entryPoints|entryPoint",
        "Traefik",
        "write [[frontend]] with name and bind",
    ),
    ("routers|router", "Traefik", "write [[frontend.route]]"),
    ("services|service", "Traefik", "write [[backend]]"),
    (
        "rule",
        "Traefik",
        "the conditions are keys of the route: host, path_prefix, method, header; in tcp mode sni, alpn",
    ),
    (
        "HostSNI|HostSNIRegexp|ALPN|passthrough",
        "Traefik",
        "write sni and alpn in a [[frontend.route]] of tcp mode: TLS is passed through there",
    ),
    (
        "loadBalancer|loadBalancers",
        "Traefik",
        "a [[backend]] is one: server, balance, check",
    ),
    ("servers", "Traefik", "write server = [\"10.0.0.11:80\"]"),
    ("url", "Traefik", "write address = \"10.0.0.11:80\""),
    (
        "healthCheck|healthChecks",
        "Traefik",
        "write check = { path = \"/health\", interval = \"2s\" } in the backend",
    ),
    (
        "middlewares|middleware",
        "Traefik",
        "middlewares are not in this version yet",
    ),
    (
        "providers|provider",
        "Traefik",
        "write `source` in the backend; only files are built yet",
    ),
    (
        "certificatesResolvers|certResolver",
        "Traefik",
        "ACME is not in this version yet; tls.certificates takes up what certbot renews by itself",
    ),
    (
        "passHostHeader",
        "Traefik",
        "always so: the Host field is forwarded as it came",
    ),
    (
        "forwardedHeaders|trustedIPs",
        "Traefik",
        "write trusted = [\"10.0.0.0/8\"] in [defaults.forwarded]; those of proxyProtocol stand in the bind's proxy_protocol",
    ),
    (
        "serversTransport|respondingTimeouts|forwardingTimeouts",
        "Traefik",
        "they stand in `timeouts`",
    ),
    (
        "sticky|sticky cookie|stickiness",
        "Traefik and nginx",
        "write cookie = \"SERVERID\" in the backend, or a table with its name, domain, path, max_age",
    ),
    (
        "http|tcp",
        "Traefik and nginx",
        "write mode = \"http\" or \"tcp\" in [[frontend]] and [[backend]]",
    ),
];
