//! What rlb says instead of HAProxy's words.

pub(super) const WORDS: &[(&str, &str, &str)] = &[
    // HAProxy, checks
    (
        "option httpchk|httpchk",
        "HAProxy",
        "write check = { method = \"HEAD\", path = \"/\" } in the backend",
    ),
    (
        "http-check",
        "HAProxy",
        "the keys of `check` say it: method, path, host, headers, expect",
    ),
    (
        "http-check expect",
        "HAProxy",
        "write expect = \"200-399\" in `check`",
    ),
    (
        "option tcp-check|tcp-check",
        "HAProxy",
        "write check = { type = \"tcp\" }: the connect alone; scripts are not in this version yet",
    ),
    ("inter", "HAProxy", "write interval = \"2s\" in `check`"),
    (
        "fastinter",
        "HAProxy",
        "write fast_interval = \"1s\" in `check`",
    ),
    (
        "downinter",
        "HAProxy",
        "write down_interval = \"5s\" in `check`",
    ),
    (
        "timeout check",
        "HAProxy",
        "write timeout = \"2s\" in `check`",
    ),
    (
        "port",
        "HAProxy",
        "a server's checks go elsewhere with check_port = 8080",
    ),
    (
        "addr",
        "HAProxy",
        "the address of a server is `address`, that of its checks check_address",
    ),
    (
        "agent-check|agent-port",
        "HAProxy",
        "agent checks are not in this version yet",
    ),
    (
        "observe",
        "HAProxy",
        "write observe_connect = true in the backend: a refused connect counts as a failed check",
    ),
    (
        "slowstart",
        "HAProxy",
        "slow start is not in this version yet",
    ),
    (
        "default-server",
        "HAProxy",
        "checks and TLS are set once per backend (`check`, `tls`), as is its server_maxconn; other keys per server",
    ),
    (
        "proto",
        "HAProxy",
        "write protocol = \"h2\" in the bind or in the backend",
    ),
    (
        "server-template",
        "HAProxy",
        "write source = [{ file = \"...\" }]: servers come and go without slots",
    ),
    // HAProxy, timeouts
    (
        "timeout",
        "HAProxy",
        "they stand in the table `timeouts`: connect, client, server, http_request, keep_alive, tunnel",
    ),
    (
        "timeout connect|contimeout",
        "HAProxy",
        "write connect = \"5s\" in [defaults.timeouts] or [backend.timeouts]",
    ),
    (
        "timeout client|clitimeout",
        "HAProxy",
        "write client = \"30s\" in [defaults.timeouts] or [frontend.timeouts]",
    ),
    (
        "timeout server|srvtimeout",
        "HAProxy",
        "write server = \"60s\" in [defaults.timeouts] or [backend.timeouts]",
    ),
    (
        "timeout http-request",
        "HAProxy",
        "write http_request = \"10s\" in [defaults.timeouts] or [frontend.timeouts]",
    ),
    (
        "timeout http-keep-alive",
        "HAProxy",
        "write keep_alive = \"30s\" in [defaults.timeouts] or [frontend.timeouts]",
    ),
    (
        "timeout tunnel",
        "HAProxy",
        "write tunnel = \"1h\" in `timeouts`",
    ),
    (
        "timeout queue",
        "HAProxy",
        "write queue = \"5s\" in [defaults.timeouts] or [backend.timeouts]",
    ),
    // HAProxy, the rest
    (
        "option",
        "HAProxy",
        "there are no options: each is a key of its own",
    ),
    (
        "option forwardfor|forwardfor|x_forwarded_for",
        "HAProxy",
        "on by default; [defaults.forwarded] for = \"append\", \"replace\" or \"off\"",
    ),
    (
        "option httplog|option tcplog|option dontlognull|httplog|tcplog",
        "HAProxy",
        "write [[log]] target = \"syslog:/dev/log\"; the format is haproxy unless it says json",
    ),
    (
        "option httpclose|option http-server-close|option forceclose",
        "HAProxy",
        "write pool_max = 0 to use each server connection once",
    ),
    (
        "option redispatch",
        "HAProxy",
        "always so: each of the `retries` goes to another server",
    ),
    (
        "http-reuse",
        "HAProxy",
        "on by default; pool_max = 0 turns it off",
    ),
    (
        "use_backend",
        "HAProxy",
        "write [[frontend.route]] with host, path_prefix, method or header (in tcp mode sni or alpn), and backend",
    ),
    (
        "acl",
        "HAProxy",
        "the conditions stand in [[frontend.route]]: host, path_prefix, method, header; in tcp mode sni, alpn",
    ),
    (
        "req.ssl_sni|ssl_fc_sni",
        "HAProxy",
        "write sni = \"demo.example.com\" in a [[frontend.route]] of tcp mode",
    ),
    (
        "req.ssl_alpn|ssl_fc_alpn",
        "HAProxy",
        "write alpn = \"h2\" in a [[frontend.route]] of tcp mode",
    ),
    (
        "tcp-request inspect-delay|inspect-delay|tcp-request",
        "HAProxy",
        "write client_hello = \"5s\" in `timeouts`; routes with sni or alpn wait for it by themselves",
    ),
    (
        "http-request deny|deny_status|http-request silent-drop|tcp-request content reject|block",
        "HAProxy",
        "write deny = true (or a status, such as 429) in place of `backend` in a [[frontend.route]]",
    ),
    (
        "http-request|reqadd|reqset",
        "HAProxy",
        "rules on headers and URLs are not in this version yet",
    ),
    (
        "http-response|rspadd",
        "HAProxy",
        "rules on headers are not in this version yet",
    ),
    (
        "redirect",
        "HAProxy",
        "redirects are not in this version yet",
    ),
    (
        "errorfile|errorloc",
        "HAProxy",
        "own error pages are not in this version yet",
    ),
    (
        "stick-table|stick",
        "HAProxy",
        "tables are not in this version yet; write cookie = \"SERVERID\" in the backend to keep clients at their servers",
    ),
    (
        "appsession|dynamic-cookie-key",
        "HAProxy",
        "write cookie = { name = \"SERVERID\", key = \"...\" } in the backend: rlb sets a cookie of its own",
    ),
    (
        "option persist|persist|force-persist|ignore-persist",
        "HAProxy",
        "a client whose server is down is always given another one",
    ),
    (
        "ssl|crt|crt-list",
        "HAProxy",
        "write bind = { address = \":443\", tls = true } and tls = { certificates = [\"/etc/rlb/tls/\"] }",
    ),
    (
        "ssl-default-bind-ciphers|ssl-default-bind-ciphersuites|ciphers|ciphersuites|tune.ssl.default-dh-param",
        "HAProxy",
        "the suites are sound as they are; tls.cipher_suites takes fewer of them by their IANA names",
    ),
    (
        "ssl-min-ver|ssl-default-bind-options",
        "HAProxy",
        "write tls = { min_version = \"1.3\" }",
    ),
    ("strict-sni", "HAProxy", "write tls = { strict_sni = true }"),
    (
        "maxsslconn",
        "HAProxy",
        "write tls_handshakes_max in [global]",
    ),
    (
        "accept-proxy|expect-proxy",
        "HAProxy",
        "write proxy_protocol = true, or { trusted = [\"10.0.0.0/8\"] }, in the bind",
    ),
    (
        "send-proxy|send-proxy-v2|check-send-proxy",
        "HAProxy",
        "write proxy_protocol = \"v1\" or \"v2\" in the backend or the server; `check` has one, too",
    ),
    (
        "nbthread|nbproc",
        "HAProxy",
        "write workers = 4, or \"auto\" for one per core",
    ),
    ("cpu-map", "HAProxy", "write pin = true in [global]"),
    (
        "stats socket",
        "HAProxy",
        "write admin = \"/run/rlb/admin.sock\" in [global]",
    ),
    (
        "daemon|master-worker|pidfile",
        "HAProxy",
        "a matter of the command line: rlb stays in the foreground, `-p FILE` writes its pid",
    ),
    (
        "chroot|uid|gid",
        "HAProxy",
        "write user and group in [global]; chroot is not in this version yet",
    ),
    (
        "hard-stop-after",
        "HAProxy",
        "write drain_timeout = \"30s\" in [global]",
    ),
    (
        "ulimit-n|tune.bufsize|tune.maxaccept",
        "HAProxy",
        "derived by itself; see maxconn, accept_budget and `limits`",
    ),
    (
        "maxconnrate|rate-limit|fullconn|minconn",
        "HAProxy",
        "rate limits, and a maxconn that grows with the load, are not in this version yet",
    ),
    (
        "maxqueue",
        "HAProxy",
        "write maxqueue in the backend: its servers have one queue, not one each",
    ),
    (
        "resolvers|nameserver|resolve_retries",
        "HAProxy",
        "DNS ([discovery.dns]) is not in this version yet",
    ),
    (
        "peers|mailers|userlist|cache|ring|program",
        "HAProxy",
        "this section is not in this version yet",
    ),
    (
        "disabled|enabled|disable",
        "HAProxy",
        "disabled = true is a key of a server",
    ),
];
