//! What is seen from outside: counters and states as HAProxy's texts, CSV, JSON
//! and Prometheus, and our own tables.
//!
//! Reads only. On the control thread [`Samples`] turns sums into rates, maxima
//! and ages once a second, and [`Snapshot::take`] copies everything into plain
//! owned data; what renders it is pure, `&Snapshot` to text, and may run on any
//! thread. This room must not know how state came about, nor who asks.
//! Every text ends with a line end and without the empty line that closes an
//! answer on the socket. Start at [`View`], then `snapshot.rs`.

mod columns;
mod csv;
mod info;
mod lines;
mod numbers;
mod page;
mod process;
mod prometheus;
mod rows;
mod samples;
mod servers;
mod sessions;
mod snapshot;
mod tables;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod text;
mod tls;
mod totals;
mod value;

pub(crate) use csv::{Form, StatRequest, stat};
pub(crate) use info::info;
pub(crate) use numbers::Numbers;
pub(crate) use page::{Document, Facts, Section, Settings, State, Trails};
pub(crate) use process::{ProcessFacts, cpu_time, node_name};
pub(crate) use prometheus::{Selection, prometheus};
pub(crate) use rows::{BackendRow, ServerRow};
pub(crate) use samples::Samples;
pub(crate) use servers::{backends, servers_conn, servers_state};
pub(crate) use sessions::{SessionFilter, SessionLine, parse_pointer, sessions};
pub(crate) use snapshot::{Departing, Snapshot, View};
pub(crate) use tables::{DrainRow, GenerationRow, OverrideRow, Table, Tabular};
pub(crate) use text::{env, errors, schema, sounds_secret, version};
pub(crate) use tls::{CertificateRow, TlsFacts, TlsFrontend};
pub(crate) use totals::{FrontendTotals, Totals};
