//! The columns of `show stat`: position, name, tags, and what they say.
//!
//! Positions, names and tags are HAProxy's (tools read by position); the
//! descriptions are ours.

use super::lines::Kind;
use super::value::Tags;

/// One column.
#[derive(Debug)]
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) tags: &'static str,
    pub(super) about: &'static str,
}

macro_rules! columns {
    ($($column:ident $name:literal $tags:literal $about:literal;)*) => {
        /// A column; its number is HAProxy's position.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Column {
            $($column,)*
        }

        impl Column {
            /// In order of position.
            pub(super) const ALL: &[Self] = &[$(Self::$column,)*];

            const SPECS: &[Spec] = &[
                $(Spec { name: $name, tags: $tags, about: $about },)*
            ];
        }
    };
}

impl Column {
    /// How many.
    pub(super) const COUNT: usize = Self::ALL.len();

    /// Its name and what it says.
    pub(super) const fn spec(self) -> &'static Spec {
        &Self::SPECS[self as usize]
    }

    /// Its tags in a row of this kind: a few columns differ.
    pub(super) const fn tags(self, kind: Kind) -> Tags {
        match (self, kind) {
            (Self::Act | Self::Bck, Kind::Server) => Tags("SGP"),
            (Self::RateMax, Kind::Backend) => Tags("MGP"),
            _ => Tags(self.spec().tags),
        }
    }
}

columns! {
    Pxname "pxname" "KNS" "Name of the proxy";
    Svname "svname" "KNS" "Name of the server, or FRONTEND or BACKEND";
    Qcur "qcur" "MGP" "Requests waiting for a server now";
    Qmax "qmax" "MMP" "Most requests that waited at once";
    Scur "scur" "MGP" "Sessions now";
    Smax "smax" "MMP" "Most sessions at once";
    Slim "slim" "CLP" "Most sessions allowed";
    Stot "stot" "MCP" "Sessions";
    Bin "bin" "MCP" "Bytes received from clients";
    Bout "bout" "MCP" "Bytes sent to clients";
    Dreq "dreq" "MCP" "Requests refused by rule";
    Dresp "dresp" "MCP" "Responses refused by rule";
    Ereq "ereq" "MCP" "Requests that were not valid";
    Econ "econ" "MCP" "Requests that reached no server";
    Eresp "eresp" "MCP" "Responses that were missing or not valid";
    Wretr "wretr" "MCP" "Tries that were repeated";
    Wredis "wredis" "MCP" "Tries that were repeated on another server";
    Status "status" "SGP" "State: OPEN, PAUSED, STOP; UP, DOWN; of a server with its progress";
    Weight "weight" "MaP" "Weight in force, of a backend the sum over usable servers";
    Act "act" "MGP" "Usable active servers; of a server 1 if it is active";
    Bck "bck" "MGP" "Usable backup servers; of a server 1 if it is a backup";
    Chkfail "chkfail" "MCP" "Failed checks";
    Chkdown "chkdown" "MCP" "Changes from UP to DOWN";
    Lastchg "lastchg" "MAP" "Seconds since the last change of state";
    Downtime "downtime" "MCP" "Seconds spent DOWN";
    Qlimit "qlimit" "CGS" "Most requests that may wait for the server";
    Pid "pid" "KGP" "Number of the process, always 1";
    Iid "iid" "KGS" "Number of the proxy";
    Sid "sid" "KGS" "Number of the server within its proxy";
    Throttle "throttle" "MaP" "Percent of its weight a starting server has reached";
    Lbtot "lbtot" "MCP" "Times the algorithm chose a server";
    Tracked "tracked" "CNS" "Server whose state this one follows";
    Type "type" "CGS" "0 frontend, 1 backend, 2 server, 3 listener";
    Rate "rate" "MRP" "Sessions in the last second";
    RateLim "rate_lim" "CLP" "Most new sessions per second";
    RateMax "rate_max" "MMP" "Most sessions in one second";
    CheckStatus "check_status" "MOP" "Result of the last check";
    CheckCode "check_code" "MOP" "Status code of the last check";
    CheckDuration "check_duration" "MDP" "Milliseconds the last check took";
    Hrsp1xx "hrsp_1xx" "MCP" "Responses of status 100 to 199";
    Hrsp2xx "hrsp_2xx" "MCP" "Responses of status 200 to 299";
    Hrsp3xx "hrsp_3xx" "MCP" "Responses of status 300 to 399";
    Hrsp4xx "hrsp_4xx" "MCP" "Responses of status 400 to 499";
    Hrsp5xx "hrsp_5xx" "MCP" "Responses of status 500 to 599";
    HrspOther "hrsp_other" "MCP" "Responses of any other status";
    Hanafail "hanafail" "MCP" "Checks failed by what traffic showed";
    ReqRate "req_rate" "MRP" "HTTP requests in the last second";
    ReqRateMax "req_rate_max" "MMP" "Most HTTP requests in one second";
    ReqTot "req_tot" "MCP" "HTTP requests";
    CliAbrt "cli_abrt" "MCP" "Transfers ended by the client";
    SrvAbrt "srv_abrt" "MCP" "Transfers ended by the server";
    CompIn "comp_in" "MCP" "Bytes given to compression";
    CompOut "comp_out" "MCP" "Bytes that compression made of them";
    CompByp "comp_byp" "MCP" "Bytes that passed by compression for want of resources";
    CompRsp "comp_rsp" "MCP" "Compressed responses";
    Lastsess "lastsess" "MAP" "Seconds since the last session, -1 for none";
    LastChk "last_chk" "MOP" "What the last check met";
    LastAgt "last_agt" "MOP" "What the last agent check met";
    Qtime "qtime" "MaP" "Milliseconds in the queue, average of the last requests";
    Ctime "ctime" "MaP" "Milliseconds to connect, average of the last requests";
    Rtime "rtime" "MaP" "Milliseconds to the response, average of the last requests";
    Ttime "ttime" "MaP" "Milliseconds in all, average of the last requests";
    AgentStatus "agent_status" "MOP" "Result of the last agent check";
    AgentCode "agent_code" "MOP" "Status code of the last agent check";
    AgentDuration "agent_duration" "MDP" "Milliseconds the last agent check took";
    CheckDesc "check_desc" "MOP" "Result of the last check in words";
    AgentDesc "agent_desc" "MOP" "Result of the last agent check in words";
    CheckRise "check_rise" "CGS" "Passed checks in a row that make it UP";
    CheckFall "check_fall" "CGS" "Failed checks in a row that make it DOWN";
    CheckHealth "check_health" "CGS" "Health, 0 to rise + fall - 1, UP from rise on";
    AgentRise "agent_rise" "CGS" "As check_rise, for the agent";
    AgentFall "agent_fall" "CGS" "As check_fall, for the agent";
    AgentHealth "agent_health" "CGS" "As check_health, for the agent";
    Addr "addr" "CGS" "Address and port, for operators only";
    Cookie "cookie" "CNS" "Cookie value of the server, cookie name of the backend";
    Mode "mode" "CGS" "http or tcp";
    Algo "algo" "CGS" "Algorithm";
    ConnRate "conn_rate" "MRP" "Connections in the last second";
    ConnRateMax "conn_rate_max" "MMP" "Most connections in one second";
    ConnTot "conn_tot" "MCP" "Connections";
    Intercepted "intercepted" "MCP" "Requests answered by the proxy itself";
    Dcon "dcon" "MCP" "Connections refused";
    Dses "dses" "MCP" "Sessions refused by rule";
    Wrew "wrew" "MCP" "Headers that could not be rewritten";
    Connect "connect" "MCP" "Connections to servers that were tried";
    Reuse "reuse" "MCP" "Connections to servers that were used again";
    CacheLookups "cache_lookups" "MCP" "Requests looked up in a cache";
    CacheHits "cache_hits" "MCP" "Requests answered from a cache";
    SrvIcur "srv_icur" "MGP" "Idle connections to the server";
    SrcIlim "src_ilim" "CLP" "Most idle connections to the server";
    QtimeMax "qtime_max" "MMP" "Longest time in the queue, milliseconds";
    CtimeMax "ctime_max" "MMP" "Longest time to connect, milliseconds";
    RtimeMax "rtime_max" "MMP" "Longest time to the response, milliseconds";
    TtimeMax "ttime_max" "MMP" "Longest time in all, milliseconds";
    Eint "eint" "MCP" "Failures of the proxy itself";
    IdleConnCur "idle_conn_cur" "MGP" "Idle connections that served no request yet";
    SafeConnCur "safe_conn_cur" "MGP" "Idle connections that served a whole request";
    UsedConnCur "used_conn_cur" "MGP" "Connections in use";
    NeedConnEst "need_conn_est" "MGP" "Connections that are needed, an estimate";
    Uweight "uweight" "MaP" "Weight as the operator set it, of a backend the sum over usable servers";
    AggServerStatus "agg_server_status" "MGP" "States of a backend's servers (metrics only)";
    AggServerCheckStatus "agg_server_check_status" "MGP" "Former name of agg_server_status";
    AggCheckStatus "agg_check_status" "MGP" "Checks of a backend's servers (metrics only)";
    Srid "srid" "MCP" "How often the number of the server was given out before";
    SessOther "sess_other" "MCP" "Sessions that are not HTTP";
    H1sess "h1sess" "MCP" "Sessions of HTTP/1";
    H2sess "h2sess" "MCP" "Sessions of HTTP/2";
    H3sess "h3sess" "MCP" "Sessions of HTTP/3";
    ReqOther "req_other" "MCP" "Requests that are not HTTP";
    H1req "h1req" "MCP" "Requests of HTTP/1";
    H2req "h2req" "MCP" "Requests of HTTP/2";
    H3req "h3req" "MCP" "Requests of HTTP/3";
    Proto "proto" "SGP" "Protocol of a listener";
    PrivIdleCur "priv_idle_cur" "MGP" "Idle connections that belong to one client";
    Reqbin "reqbin" "MCP" "Bytes of requests, received";
    Reqbout "reqbout" "MCP" "Bytes of requests, sent";
    Resbin "resbin" "MCP" "Bytes of responses, received";
    Resbout "resbout" "MCP" "Bytes of responses, sent";
    CacheHintHits "cache_hint_hits" "MCP" "Requests that a cache's hint spared a lookup";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_at_haproxys_positions() {
        assert_eq!(Column::COUNT, 119);
        let at = [
            (0, "pxname"),
            (17, "status"),
            (32, "type"),
            (38, "check_duration"),
            (48, "req_tot"),
            (61, "ttime"),
            (73, "addr"),
            (84, "connect"),
            (89, "src_ilim"),
            (94, "eint"),
            (99, "uweight"),
            (103, "srid"),
            (113, "priv_idle_cur"),
            (118, "cache_hint_hits"),
        ];
        for (position, name) in at {
            assert_eq!(Column::ALL[position].spec().name, name);
        }
    }

    #[test]
    fn every_column_has_three_tags_and_words_without_quotes() {
        for column in Column::ALL {
            let spec = column.spec();
            assert_eq!(spec.tags.len(), 3, "{}", spec.name);
            assert!(!spec.about.contains('"'), "{}", spec.name);
        }
    }
}
