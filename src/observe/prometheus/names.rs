//! Names of HAProxy's built-in exporter (its README lists them) and the cells they show.

use crate::observe::columns::Column;
use crate::observe::lines::Kind;

/// One family.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) column: Column,
    /// Behind `haproxy_server_` and the like.
    pub(super) name: &'static str,
    pub(super) counter: bool,
    pub(super) shape: Shape,
}

/// What becomes of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Its number.
    Number,
    /// Milliseconds that become seconds.
    Millis,
    /// A line per state.
    Status,
    /// A line per state of the check.
    CheckStatus,
    /// A line per class of responses.
    Responses,
    /// Servers of a backend by state.
    ServerStates,
    /// Servers of a backend by state of their check.
    CheckStates,
}

/// States of a server; of frontends and backends the first two.
pub(super) const SERVER_STATES: [&str; 5] = ["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

/// States of a check.
pub(super) const CHECK_STATES: [&str; 16] = [
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP",
    "L7OK", "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// Prefix and families of a kind of row.
pub(super) const fn of(kind: Kind) -> (&'static str, &'static [Metric]) {
    match kind {
        Kind::Frontend => ("frontend", FRONTEND),
        Kind::Backend => ("backend", BACKEND),
        Kind::Server => ("server", SERVER),
    }
}

const fn metric(column: Column, name: &'static str, counter: bool, shape: Shape) -> Metric {
    Metric {
        column,
        name,
        counter,
        shape,
    }
}

const fn gauge(column: Column, name: &'static str) -> Metric {
    metric(column, name, false, Shape::Number)
}

const fn counter(column: Column, name: &'static str) -> Metric {
    metric(column, name, true, Shape::Number)
}

const fn millis(column: Column, name: &'static str) -> Metric {
    metric(column, name, false, Shape::Millis)
}

use Column as C;

#[rustfmt::skip]
const FRONTEND: &[Metric] = &[
    gauge(C::Scur, "current_sessions"),
    gauge(C::Smax, "max_sessions"),
    gauge(C::Slim, "limit_sessions"),
    counter(C::Stot, "sessions_total"),
    counter(C::Bin, "bytes_in_total"),
    counter(C::Bout, "bytes_out_total"),
    counter(C::Dreq, "requests_denied_total"),
    counter(C::Dresp, "responses_denied_total"),
    counter(C::Ereq, "request_errors_total"),
    metric(C::Status, "status", false, Shape::Status),
    gauge(C::Rate, "current_session_rate"),
    gauge(C::RateLim, "limit_session_rate"),
    gauge(C::RateMax, "max_session_rate"),
    metric(C::Hrsp1xx, "http_responses_total", true, Shape::Responses),
    gauge(C::ReqRateMax, "http_requests_rate_max"),
    counter(C::ReqTot, "http_requests_total"),
    counter(C::CompIn, "http_comp_bytes_in_total"),
    counter(C::CompOut, "http_comp_bytes_out_total"),
    counter(C::CompByp, "http_comp_bytes_bypassed_total"),
    counter(C::CompRsp, "http_comp_responses_total"),
    gauge(C::ConnRateMax, "connections_rate_max"),
    counter(C::ConnTot, "connections_total"),
    counter(C::Intercepted, "intercepted_requests_total"),
    counter(C::Dcon, "denied_connections_total"),
    counter(C::Dses, "denied_sessions_total"),
    counter(C::Wrew, "failed_header_rewriting_total"),
    counter(C::CacheLookups, "http_cache_lookups_total"),
    counter(C::CacheHits, "http_cache_hits_total"),
    counter(C::Eint, "internal_errors_total"),
];

#[rustfmt::skip]
const BACKEND: &[Metric] = &[
    gauge(C::Qcur, "current_queue"),
    gauge(C::Qmax, "max_queue"),
    gauge(C::Scur, "current_sessions"),
    gauge(C::Smax, "max_sessions"),
    gauge(C::Slim, "limit_sessions"),
    counter(C::Stot, "sessions_total"),
    counter(C::Bin, "bytes_in_total"),
    counter(C::Bout, "bytes_out_total"),
    counter(C::Dreq, "requests_denied_total"),
    counter(C::Dresp, "responses_denied_total"),
    counter(C::Econ, "connection_errors_total"),
    counter(C::Eresp, "response_errors_total"),
    counter(C::Wretr, "retry_warnings_total"),
    counter(C::Wredis, "redispatch_warnings_total"),
    metric(C::Status, "status", false, Shape::Status),
    gauge(C::Weight, "weight"),
    gauge(C::Act, "active_servers"),
    gauge(C::Bck, "backup_servers"),
    counter(C::Chkdown, "check_up_down_total"),
    gauge(C::Lastchg, "check_last_change_seconds"),
    counter(C::Downtime, "downtime_seconds_total"),
    counter(C::Lbtot, "loadbalanced_total"),
    gauge(C::Rate, "current_session_rate"),
    gauge(C::RateMax, "max_session_rate"),
    metric(C::Hrsp1xx, "http_responses_total", true, Shape::Responses),
    counter(C::ReqTot, "http_requests_total"),
    counter(C::CliAbrt, "client_aborts_total"),
    counter(C::SrvAbrt, "server_aborts_total"),
    counter(C::CompIn, "http_comp_bytes_in_total"),
    counter(C::CompOut, "http_comp_bytes_out_total"),
    counter(C::CompByp, "http_comp_bytes_bypassed_total"),
    counter(C::CompRsp, "http_comp_responses_total"),
    gauge(C::Lastsess, "last_session_seconds"),
    millis(C::Qtime, "queue_time_average_seconds"),
    millis(C::Ctime, "connect_time_average_seconds"),
    millis(C::Rtime, "response_time_average_seconds"),
    millis(C::Ttime, "total_time_average_seconds"),
    counter(C::Wrew, "failed_header_rewriting_total"),
    counter(C::Connect, "connection_attempts_total"),
    counter(C::Reuse, "connection_reuses_total"),
    counter(C::CacheLookups, "http_cache_lookups_total"),
    counter(C::CacheHits, "http_cache_hits_total"),
    millis(C::QtimeMax, "max_queue_time_seconds"),
    millis(C::CtimeMax, "max_connect_time_seconds"),
    millis(C::RtimeMax, "max_response_time_seconds"),
    millis(C::TtimeMax, "max_total_time_seconds"),
    counter(C::Eint, "internal_errors_total"),
    gauge(C::Uweight, "uweight"),
    metric(C::AggServerStatus, "agg_server_status", false, Shape::ServerStates),
    metric(C::AggServerCheckStatus, "agg_server_check_status", false, Shape::ServerStates),
    metric(C::AggCheckStatus, "agg_check_status", false, Shape::CheckStates),
];

#[rustfmt::skip]
const SERVER: &[Metric] = &[
    gauge(C::Qcur, "current_queue"),
    gauge(C::Qmax, "max_queue"),
    gauge(C::Scur, "current_sessions"),
    gauge(C::Smax, "max_sessions"),
    gauge(C::Slim, "limit_sessions"),
    counter(C::Stot, "sessions_total"),
    counter(C::Bin, "bytes_in_total"),
    counter(C::Bout, "bytes_out_total"),
    counter(C::Dresp, "responses_denied_total"),
    counter(C::Econ, "connection_errors_total"),
    counter(C::Eresp, "response_errors_total"),
    counter(C::Wretr, "retry_warnings_total"),
    counter(C::Wredis, "redispatch_warnings_total"),
    metric(C::Status, "status", false, Shape::Status),
    gauge(C::Weight, "weight"),
    gauge(C::Act, "active"),
    gauge(C::Bck, "backup"),
    counter(C::Chkfail, "check_failures_total"),
    counter(C::Chkdown, "check_up_down_total"),
    gauge(C::Lastchg, "check_last_change_seconds"),
    counter(C::Downtime, "downtime_seconds_total"),
    gauge(C::Qlimit, "queue_limit"),
    gauge(C::Throttle, "current_throttle"),
    counter(C::Lbtot, "loadbalanced_total"),
    gauge(C::Rate, "current_session_rate"),
    gauge(C::RateMax, "max_session_rate"),
    metric(C::CheckStatus, "check_status", false, Shape::CheckStatus),
    gauge(C::CheckCode, "check_code"),
    millis(C::CheckDuration, "check_duration_seconds"),
    metric(C::Hrsp1xx, "http_responses_total", true, Shape::Responses),
    counter(C::ReqTot, "http_requests_total"),
    counter(C::CliAbrt, "client_aborts_total"),
    counter(C::SrvAbrt, "server_aborts_total"),
    gauge(C::Lastsess, "last_session_seconds"),
    millis(C::Qtime, "queue_time_average_seconds"),
    millis(C::Ctime, "connect_time_average_seconds"),
    millis(C::Rtime, "response_time_average_seconds"),
    millis(C::Ttime, "total_time_average_seconds"),
    counter(C::Wrew, "failed_header_rewriting_total"),
    counter(C::Connect, "connection_attempts_total"),
    counter(C::Reuse, "connection_reuses_total"),
    gauge(C::SrvIcur, "idle_connections_current"),
    gauge(C::SrcIlim, "idle_connections_limit"),
    millis(C::QtimeMax, "max_queue_time_seconds"),
    millis(C::CtimeMax, "max_connect_time_seconds"),
    millis(C::RtimeMax, "max_response_time_seconds"),
    millis(C::TtimeMax, "max_total_time_seconds"),
    counter(C::Eint, "internal_errors_total"),
    gauge(C::IdleConnCur, "unsafe_idle_connections_current"),
    gauge(C::SafeConnCur, "safe_idle_connections_current"),
    gauge(C::UsedConnCur, "used_connections_current"),
    gauge(C::NeedConnEst, "need_connections_current"),
    gauge(C::Uweight, "uweight"),
];

/// Field number of `show info`, name behind `haproxy_process_`, whether it is a counter.
#[rustfmt::skip]
pub(super) const PROCESS: &[(usize, &str, bool)] = &[
    (3, "nbthread", false),
    (4, "nbproc", false),
    (5, "relative_process_id", false),
    (8, "uptime_seconds", false),
    (12, "pool_failures_total", true),
    (13, "max_fds", false),
    (14, "max_sockets", false),
    (15, "max_connections", false),
    (16, "hard_max_connections", false),
    (17, "current_connections", false),
    (18, "connections_total", true),
    (19, "requests_total", true),
    (20, "max_ssl_connections", false),
    (21, "current_ssl_connections", false),
    (22, "ssl_connections_total", true),
    (23, "max_pipes", false),
    (24, "pipes_used_total", true),
    (25, "pipes_free_total", true),
    (26, "current_connection_rate", false),
    (27, "limit_connection_rate", false),
    (28, "max_connection_rate", false),
    (29, "current_session_rate", false),
    (30, "limit_session_rate", false),
    (31, "max_session_rate", false),
    (32, "current_ssl_rate", false),
    (33, "limit_ssl_rate", false),
    (34, "max_ssl_rate", false),
    (35, "current_frontend_ssl_key_rate", false),
    (36, "max_frontend_ssl_key_rate", false),
    (37, "frontend_ssl_reuse", false),
    (38, "current_backend_ssl_key_rate", false),
    (39, "max_backend_ssl_key_rate", false),
    (40, "ssl_cache_lookups_total", true),
    (41, "ssl_cache_misses_total", true),
    (42, "http_comp_bytes_in_total", true),
    (43, "http_comp_bytes_out_total", true),
    (44, "limit_http_comp", false),
    (45, "current_zlib_memory", false),
    (46, "max_zlib_memory", false),
    (47, "current_tasks", false),
    (48, "current_run_queue", false),
    (49, "idle_time_percent", false),
    (50, "node", false),
    (52, "stopping", false),
    (53, "jobs", false),
    (54, "unstoppable_jobs", false),
    (55, "listeners", false),
    (56, "active_peers", false),
    (57, "connected_peers", false),
    (58, "dropped_logs_total", true),
    (59, "busy_polling_enabled", false),
    (60, "failed_resolutions", true),
    (61, "bytes_out_total", true),
    (62, "spliced_bytes_out_total", true),
    (63, "bytes_out_rate", false),
    (65, "recv_logs_total", true),
    (66, "build_info", false),
    (67, "max_memory_bytes", false),
    (68, "pool_allocated_bytes", false),
    (69, "pool_used_bytes", false),
    (70, "start_time_seconds", false),
];
