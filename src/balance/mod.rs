//! The algorithms: pure, no I/O, no clock. They know weights and tickets, not
//! generations or servers. A further algorithm is a further file here.
//! Start at [`Schedule`].

mod schedule;
mod smooth;
mod stride;

pub(crate) use schedule::Schedule;
