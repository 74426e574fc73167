//! Commands that only look. What may be large is rendered on another thread:
//! control's own does nothing that takes a millisecond.

use std::rc::Rc;

use super::{find, find_backend, find_frontend, mask};
use crate::control::Control;
use crate::control::admin::answer::Reply;
use crate::control::admin::command::{Sessions, Show};
use crate::control::admin::dump;
use crate::control::admin::wire::level_word;
use crate::observe::{
    self, Selection, SessionFilter, SessionLine, Snapshot, StatRequest, prometheus,
};
use crate::worker::SessionRow;

type Answer = Result<Reply, Reply>;

/// HAProxy's lines; a file may be named by the end of its path, too.
fn certificates(control: &Control, file: Option<String>) -> Answer {
    let all = control.certificates();
    let Some(file) = file else {
        if all.is_empty() {
            return Ok(Reply::Silent);
        }
        let names = all.iter().map(|known| known.path.display().to_string());
        let lines: Vec<_> = std::iter::once("# filename".to_owned())
            .chain(names)
            .collect();
        return Ok(Reply::Dump(lines.join("\n")));
    };
    if all.is_empty() {
        return Err(Reply::refused(
            "No certificate is referenced by the configuration!",
        ));
    }
    let asked = std::path::Path::new(&file);
    match all.iter().find(|known| known.path.ends_with(asked)) {
        Some(found) => Ok(Reply::Dump(found.report())),
        None => Err(Reply::refused(
            "Can't display the certificate: Not found or the certificate is a bundle!",
        )),
    }
}

/// Shows it.
pub(super) async fn show(control: &Rc<Control>, what: Show) -> Answer {
    match what {
        Show::Info(words) => {
            let snapshot = control.snapshot();
            render(move || Ok(observe::info(&snapshot, &borrowed(&words)))).await
        }
        Show::Stat(words, legends) => {
            let request = StatRequest::parse(&borrowed(&words)).map_err(Reply::refused)?;
            let request = StatRequest { legends, ..request };
            of_snapshot(control, move |snapshot| observe::stat(snapshot, &request)).await
        }
        Show::Metrics(query) => {
            let selection = Selection::parse(&query);
            let metrics = move |snapshot: &Snapshot| Ok(prometheus(snapshot, &selection));
            of_snapshot(control, metrics).await
        }
        Show::ServersState(backend, json) => {
            let state = move |snapshot: &Snapshot| {
                let text = observe::servers_state(snapshot, backend.as_deref())?;
                // The first line is the version of the format.
                let table = text.split_once('\n').map_or("", |(_, table)| table);
                Ok(if json { dump::table_json(table) } else { text })
            };
            of_snapshot(control, state).await
        }
        Show::ServersConn(backend, json) => {
            let conn = move |snapshot: &Snapshot| {
                let text = observe::servers_conn(snapshot, backend.as_deref())?;
                Ok(if json { dump::table_json(&text) } else { text })
            };
            of_snapshot(control, conn).await
        }
        Show::Certificates(file) => certificates(control, file),
        Show::Backends(json) => {
            let backends = move |snapshot: &Snapshot| {
                let text = observe::backends(snapshot);
                Ok(if json { dump::table_json(&text) } else { text })
            };
            of_snapshot(control, backends).await
        }
        Show::Sessions(sessions, json) => show_sessions(control, sessions, json).await,
        Show::Errors(proxy) => {
            if let Some(name) = proxy {
                find_backend(control, &name)
                    .map(drop)
                    .or_else(|_| find_frontend(control, &name).map(drop))
                    .map_err(|_| Reply::refused("No such proxy."))?;
            }
            Ok(Reply::Dump(observe::errors(dump::now_unix_ms())))
        }
        Show::Env(name, json) => {
            let expanded = control.expanded();
            dump::env(&dump::variables(), name.as_deref(), json, &expanded).map(Reply::Dump)
        }
        Show::Version(json) => {
            let version = observe::version();
            Ok(if json {
                Reply::Dump(dump::json(&version.trim_end()))
            } else {
                Reply::info(version)
            })
        }
        Show::Schema => Ok(Reply::Dump(format!("{}\n", observe::schema()))),
        Show::Sockets(json) => {
            let mut text = "# socket lvl processes\n".to_owned();
            for (address, level) in control.admin.borrow().list() {
                text += &format!("{address} {} all\n", level_word(level));
            }
            Ok(Reply::Dump(if json {
                dump::table_json(&text)
            } else {
                text
            }))
        }
        Show::Processes => Ok(Reply::Dump(dump::processes(control.uptime()))),
        Show::Groups(backend, json) => {
            let groups = move |snapshot: &Snapshot| {
                let rows = snapshot.groups(backend.as_deref())?;
                Ok(dump::table(&rows, json))
            };
            of_snapshot(control, groups).await
        }
        Show::Overrides(json) => {
            let text = dump::overrides(&control.overrides(), json);
            Ok(Reply::Dump(mask(control).apply(text)))
        }
        Show::Generations(json) => {
            let text = dump::generations(&control.history(), json);
            Ok(Reply::Dump(mask(control).apply(text)))
        }
        Show::Health(json) => {
            let text = dump::health(&control.vitals());
            Ok(Reply::Dump(if json {
                dump::table_json(&text)
            } else {
                text
            }))
        }
        Show::Sources(json) => {
            let rows = control.sources();
            render(move || Ok(dump::sources(&rows, json))).await
        }
        Show::Drain(json) => Ok(Reply::Dump(dump::drains(&control.draining(), json))),
    }
}

/// Takes a snapshot and renders it elsewhere.
async fn of_snapshot(
    control: &Control,
    render_it: impl FnOnce(&Snapshot) -> Result<String, &'static str> + Send + 'static,
) -> Answer {
    let snapshot = control.snapshot();
    render(move || render_it(&snapshot)).await
}

async fn render(
    render_it: impl FnOnce() -> Result<String, &'static str> + Send + 'static,
) -> Answer {
    match tokio::task::spawn_blocking(render_it).await {
        Ok(Ok(text)) => Ok(Reply::Dump(text)),
        Ok(Err(sentence)) => Err(Reply::refused(sentence)),
        Err(_) => Err(Reply::refused("Internal error, see the log.")),
    }
}

async fn show_sessions(control: &Rc<Control>, which: Sessions, json: bool) -> Answer {
    let one = |row: &SessionRow, id: &str| {
        observe::parse_pointer(id) == Some((row.worker, row.info.index))
    };
    let mut only = None;
    let filter = match which {
        Sessions::All => SessionFilter::All,
        Sessions::Id(id) => {
            only = Some(id);
            SessionFilter::All
        }
        Sessions::Server(target) => SessionFilter::Server(find(control, &target)?.1.id()),
        Sessions::Backend(name) => {
            SessionFilter::Backend(find_backend(control, &name)?.name.to_string())
        }
        Sessions::Frontend(name) => {
            SessionFilter::Frontend(find_frontend(control, &name)?.state.id)
        }
        Sessions::Older(age) => {
            SessionFilter::Older(u32::try_from(age.as_millis()).unwrap_or(u32::MAX))
        }
    };
    let mut rows = control.list_sessions().await;
    if let Some(id) = only {
        rows.retain(|row| one(row, &id));
        if rows.is_empty() {
            return Err(Reply::refused("No such session (use 'show sess')."));
        }
    }
    let rows: Vec<SessionLine> = rows.iter().map(line).collect();
    of_snapshot(control, move |snapshot| {
        let text = observe::sessions(snapshot, &rows, &filter);
        Ok(if json {
            dump::sessions_json(&text)
        } else {
            text
        })
    })
    .await
}

fn line(row: &SessionRow) -> SessionLine {
    SessionLine {
        worker: row.worker,
        index: row.info.index,
        peer: row.info.peer.address,
        frontend: row.info.frontend.id,
        server: row.info.server,
        age_ms: row.info.age_ms,
    }
}

fn borrowed(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}
