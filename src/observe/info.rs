//! `show info`: the process, by HAProxy's field numbers.

use std::fmt::Write as _;

use serde::Serialize;

use super::Snapshot;
use super::csv::Form;
use super::text::{RELEASE_DATE, VERSION};
use super::value::{Field, TagWords, Tags, Typed, VOLATILE, Value};

/// One line of `show info`.
pub(super) struct Info<'a> {
    /// HAProxy's number of the field: clients of the typed form read by it.
    pub(super) pos: usize,
    pub(super) name: &'static str,
    pub(super) tags: Tags,
    pub(super) value: Value<'a>,
    pub(super) about: &'static str,
}

/// The text of `show info [typed|json] [desc] [float]`.
pub(crate) fn info(snapshot: &Snapshot, words: &[&str]) -> String {
    let has = |word| words.contains(&word);
    let lines = fields(snapshot, has("float"));
    let form = match () {
        () if has("json") => Form::Json,
        () if has("typed") => Form::Typed,
        () => Form::Plain,
    };
    if form == Form::Json {
        return json(&lines);
    }
    let mut out = String::with_capacity(4096);
    for line in lines {
        let Info {
            pos, name, value, ..
        } = &line;
        // Writing to a String cannot fail.
        let _ = match form {
            Form::Typed => {
                let (tags, kind) = (line.tags.0, value.kind());
                write!(out, "{pos}.{name}.1:{tags}{VOLATILE}:{kind}:{value}")
            }
            _ => write!(out, "{name}: {value}"),
        };
        if has("desc") {
            let _ = write!(out, ":\"{}\"", line.about);
        }
        out.push('\n');
    }
    out
}

/// One cell of the JSON form.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Cell<'a> {
    field: Field,
    process_num: u32,
    tags: TagWords,
    value: Typed<'a>,
}

fn json(lines: &[Info<'_>]) -> String {
    let cells: Vec<Cell<'_>> = lines.iter().filter_map(json_cell).collect();
    // Plain structs with text keys: there is nothing that could fail.
    serde_json::to_string(&cells).unwrap_or_default() + "\n"
}

fn json_cell<'a>(line: &'a Info<'_>) -> Option<Cell<'a>> {
    Some(Cell {
        field: Field {
            pos: line.pos,
            name: line.name,
        },
        process_num: 1,
        tags: line.tags.words(),
        value: Typed::of(&line.value)?,
    })
}

/// `0d 0h00m24s`
fn uptime(seconds: u64) -> String {
    let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
    format!(
        "{days}d {hours}h{:02}m{:02}s",
        seconds / 60 % 60,
        seconds % 60
    )
}

/// Every field that has a value, in order. What rlb has no such thing of is 0.
#[rustfmt::skip]
pub(super) fn fields(snapshot: &Snapshot, float: bool) -> Vec<Info<'_>> {
    let process = &snapshot.process;
    let sums = &snapshot.sums;
    let totals = &sums.totals;
    let seconds = |time: std::time::Duration| match float {
        true => Value::Float(time.as_secs_f64()),
        false => Value::u32(time.as_secs()),
    };
    let rate = |rate: u64| match float {
        true => Value::Float(rate as f64),
        false => Value::u32(rate),
    };
    let started = std::time::Duration::from_millis(process.started_unix_ms);
    let none = || Value::U32(0);
    let (tls, resumed) = (snapshot.tls.sum(|f| f.handshakes), snapshot.tls.sum(|f| f.resumed));
    let reused = (100 * resumed).checked_div(tls).unwrap_or(0);
    let working: u64 = snapshot.proxies.iter().filter_map(|proxy| proxy.backend.as_ref()).map(|b| b.work.current).sum();
    let checked = snapshot.servers().filter(|(_, server)| server.check.is_some()).count();
    let mut fields = Fields(Vec::with_capacity(82));
    let f = &mut fields;
    f.add(0, "Name", "POS", Value::text("HAProxy"), "Name that clients of HAProxy's socket ask for");
    f.add(1, "Version", "POS", Value::text(VERSION), "Version of HAProxy's interface, and of rlb");
    f.add(2, "Release_date", "POS", Value::text(RELEASE_DATE), "Date of this version");
    f.add(3, "Nbthread", "CGS", Value::u32(process.workers), "Worker threads");
    f.add(4, "Nbproc", "CGS", Value::U32(1), "Processes, always 1");
    f.add(5, "Process_num", "KGP", Value::U32(1), "Number of this process, always 1");
    f.add(6, "Pid", "SGP", Value::U32(process.pid), "Process id");
    f.add(7, "Uptime", "MDP", Value::text(uptime(process.uptime.as_secs())), "Time since the start");
    f.add(8, "Uptime_sec", "MDP", seconds(process.uptime), "Seconds since the start");
    f.add(9, "Memmax_MB", "CLP", none(), "Memory limit, megabytes, 0 for none");
    f.add(10, "PoolAlloc_MB", "MGP", none(), "Memory of pools, megabytes");
    f.add(11, "PoolUsed_MB", "MGP", none(), "Memory used of pools, megabytes");
    f.add(12, "PoolFailed", "MCP", none(), "Failed allocations");
    f.add(13, "Ulimit-n", "CLP", Value::u32(process.descriptors), "Descriptors the process may open");
    f.add(14, "Maxsock", "CLP", Value::u32(process.descriptors), "Sockets the process may open");
    f.add(15, "Maxconn", "CLP", Value::u32(process.maxconn), "Most client connections");
    f.add(16, "Hard_maxconn", "CLP", Value::u32(process.maxconn), "Most client connections at start");
    f.add(17, "CurrConns", "MGP", Value::u32(process.connections), "Client connections now");
    f.add(18, "CumConns", "MCP", Value::u32(process.accepted), "Client connections accepted");
    f.add(19, "CumReq", "MCP", Value::u32(totals.requests), "HTTP requests");
    f.add(20, "MaxSslConns", "MMP", none(), "Most TLS connections allowed");
    f.add(21, "CurrSslConns", "MGP", none(), "TLS connections now");
    f.add(22, "CumSslConns", "MCP", Value::u32(snapshot.tls.sum(|f| f.handshakes)), "TLS connections");
    f.add(23, "Maxpipes", "CLP", Value::u32(process.pipes_max), "Most pipes for splicing");
    f.add(24, "PipesUsed", "MGP", Value::u32(process.pipes), "Pipes now");
    f.add(25, "PipesFree", "MGP", none(), "Spare pipes");
    f.add(26, "ConnRate", "MRP", rate(sums.connections.now), "Client connections in the last second");
    f.add(27, "ConnRateLimit", "CLP", none(), "Most client connections per second");
    f.add(28, "MaxConnRate", "MMP", Value::u32(sums.connections.max), "Most client connections in one second");
    f.add(29, "SessRate", "MRP", rate(sums.sessions.now), "Sessions in the last second");
    f.add(30, "SessRateLimit", "CLP", none(), "Most sessions per second");
    f.add(31, "MaxSessRate", "MRP", Value::u32(sums.sessions.max), "Most sessions in one second");
    f.add(32, "SslRate", "MRP", rate(0), "TLS handshakes in the last second");
    f.add(33, "SslRateLimit", "CLP", none(), "Most TLS handshakes per second");
    f.add(34, "MaxSslRate", "MMP", none(), "Most TLS handshakes in one second");
    f.add(35, "SslFrontendKeyRate", "MGP", rate(0), "Key computations for clients in the last second");
    f.add(36, "SslFrontendMaxKeyRate", "MMP", none(), "Most key computations for clients in one second");
    f.add(37, "SslFrontendSessionReuse_pct", "MGP", Value::u32(reused),  "Percent of TLS sessions that were resumed");
    f.add(38, "SslBackendKeyRate", "MRP", rate(0), "Key computations for servers in the last second");
    f.add(39, "SslBackendMaxKeyRate", "MMP", none(), "Most key computations for servers in one second");
    f.add(40, "SslCacheLookups", "MCP", none(), "Lookups of TLS sessions");
    f.add(41, "SslCacheMisses", "MCP", none(), "Lookups of TLS sessions in vain");
    f.add(42, "CompressBpsIn", "MRP", rate(0), "Bytes given to compression in the last second");
    f.add(43, "CompressBpsOut", "MRP", rate(0), "Bytes made by compression in the last second");
    f.add(44, "CompressBpsRateLim", "CLP", none(), "Most bytes made by compression per second");
    f.add(45, "ZlibMemUsage", "MGP", none(), "Memory of zlib");
    f.add(46, "MaxZlibMemUsage", "CLP", none(), "Most memory of zlib");
    f.add(47, "Tasks", "MGP", Value::u32(process.connections + checked), "Sessions and checks");
    f.add(48, "Run_queue", "MGP", none(), "Tasks that wait for a core");
    f.add(49, "Idle_pct", "MaP", Value::U32(sums.idle_pct), "Percent of the workers' time not used in the last second");
    f.add(50, "node", "COS", Value::text(&*process.node), "Name of the host");
    // 51, the description, cannot be set: HAProxy leaves it out then.
    f.add(52, "Stopping", "MGP", Value::U32(u32::from(process.stopping)), "1 while the process drains");
    f.add(53, "Jobs", "MGP", Value::u32(process.connections + process.listeners), "Sessions and listeners");
    f.add(54, "Unstoppable Jobs", "MGP", none(), "Jobs that never end by themselves");
    f.add(55, "Listeners", "MGP", Value::u32(process.listeners), "Open binds");
    f.add(56, "ActivePeers", "MGP", none(), "Peers");
    f.add(57, "ConnectedPeers", "MGP", none(), "Connected peers");
    f.add(58, "DroppedLogs", "MGP", Value::u32(process.dropped_logs), "Log records that were lost");
    f.add(59, "BusyPolling", "MGP", none(), "1 if workers never sleep");
    f.add(60, "FailedResolutions", "MGP", none(), "DNS questions without an answer");
    f.add(61, "TotalBytesOut", "MGP", Value::U64(totals.bytes_out), "Bytes sent to clients");
    f.add(62, "TotalSplicedBytesOut", "MGP", Value::U64(totals.spliced_out), "Bytes sent to clients by splice");
    f.add(63, "BytesOutRate", "MRP", Value::U64(sums.bytes_out.now), "Bytes sent to clients in the last second");
    f.add(64, "DebugCommandsIssued", "MGP", none(), "Debug commands");
    f.add(65, "CumRecvLogs", "MCP", none(), "Log messages received");
    f.add(66, "Build info", "POS", Value::text(VERSION), "Version and build");
    f.add(67, "Memmax_bytes", "CLP", none(), "Memory limit, bytes, 0 for none");
    f.add(68, "PoolAlloc_bytes", "MGP", Value::U64(0), "Memory of pools, bytes");
    f.add(69, "PoolUsed_bytes", "MGP", Value::U64(0), "Memory used of pools, bytes");
    f.add(70, "Start_time_sec", "MDP", seconds(started), "Unix time of the start");
    f.add(71, "Tainted", "SGP", Value::text("0"), "Unsupported things that were done");
    f.add(72, "TotalWarnings", "MCP", none(), "Warnings at start");
    f.add(73, "MaxconnReached", "MCP", none(), "Times the limit of client connections was reached");
    f.add(74, "BootTime_ms", "MDP", Value::u32(process.boot.as_millis()), "Milliseconds from the start to the first accept");
    f.add(75, "Niced_tasks", "MGP", none(), "Tasks of another priority");
    f.add(76, "CurrStreams", "MGP", Value::U64(working), "Requests and sessions at servers now");
    f.add(77, "CumStreams", "MCP", Value::U64(streams(snapshot)), "Requests and TCP sessions");
    f.add(78, "BlockedTrafficWarnings", "MCP", none(), "Times traffic was found to stand still");
    f.add(79, "PatternsAdded", "MCP", Value::U64(0), "Patterns added");
    f.add(80, "PatternsFreed", "MCP", Value::U64(0), "Patterns freed");
    f.add(81, "NbThreadGroups", "CGS", Value::U32(1), "Groups of threads, always 1");
    fields.0
}

/// HTTP requests, and sessions of TCP frontends.
fn streams(snapshot: &Snapshot) -> u64 {
    let tcp = snapshot
        .proxies
        .iter()
        .filter(|proxy| proxy.mode == crate::config::Mode::Tcp);
    let sessions: u64 = tcp
        .filter_map(|proxy| proxy.frontend.as_ref())
        .map(|frontend| frontend.totals.sessions)
        .sum();
    snapshot.sums.totals.requests + sessions
}

struct Fields<'a>(Vec<Info<'a>>);

impl<'a> Fields<'a> {
    fn add(
        &mut self,
        pos: usize,
        name: &'static str,
        tags: &'static str,
        value: Value<'a>,
        about: &'static str,
    ) {
        self.0.push(Info {
            pos,
            name,
            tags: Tags(tags),
            value,
            about,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::testing::snapshot;

    #[test]
    fn every_number_stands_once_and_in_order() {
        let snapshot = snapshot();
        let numbers: Vec<usize> = fields(&snapshot, false).iter().map(|f| f.pos).collect();
        let expected: Vec<usize> = (0..=81).filter(|number| *number != 51).collect();
        assert_eq!(numbers, expected);
    }

    #[test]
    fn plain_form_has_what_clients_insist_on() {
        let text = info(&snapshot(), &[]);
        assert!(
            text.starts_with("Name: HAProxy\nVersion: 3.0.0-rlb-"),
            "{text}"
        );
        let hatop = [
            "Name",
            "Version",
            "Release_date",
            "Nbproc",
            "Process_num",
            "Pid",
            "Uptime",
            "Maxconn",
            "CurrConns",
            "Maxpipes",
            "PipesUsed",
            "Tasks",
            "Run_queue",
            "node",
        ];
        for name in hatop {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix(&format!("{name}: ")));
            assert!(line.is_some_and(|value| !value.is_empty()), "{name}");
        }
        assert!(text.contains("\nUptime: 1d 1h01m01s\nUptime_sec: 90061\n"));
        assert!(text.contains("\nUnstoppable Jobs: 0\n"));
        assert!(text.contains("\nnode: lb1\n"));
    }

    #[test]
    fn typed_form_carries_number_tags_and_type() {
        let text = info(&snapshot(), &["typed"]);
        assert!(text.starts_with("0.Name.1:POSV:str:HAProxy\n"));
        assert!(text.contains("\n6.Pid.1:SGPV:u32:4711\n"));
        assert!(text.contains("\n61.TotalBytesOut.1:MGPV:u64:900\n"));
        let described = info(&snapshot(), &["typed", "desc"]);
        assert!(described.contains("\n6.Pid.1:SGPV:u32:4711:\"Process id\"\n"));
    }

    #[test]
    fn float_gives_fractions_of_seconds() {
        let text = info(&snapshot(), &["float"]);
        assert!(text.contains("\nUptime_sec: 90061.5\n"), "{text}");
        assert!(text.contains("\nStart_time_sec: 1700000000.25\n"), "{text}");
    }

    #[test]
    fn json_is_one_array_of_cells() {
        let text = info(&snapshot(), &["json"]);
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        let first = serde_json::json!({
            "field": {"pos": 0, "name": "Name"},
            "processNum": 1,
            "tags": {"origin": "Product", "nature": "Output", "scope": "Service"},
            "value": {"type": "str", "value": "HAProxy"},
        });
        assert_eq!(json[0], first);
        assert_eq!(json.as_array().unwrap().len(), 81);
    }
}
