//! Groups of servers (canary): work goes to a group by its share, then to a
//! server of it by weight. Each level is exact by itself, so 1 % over three
//! groups of 7, 11 and 13 servers is 1 % without a common multiple of anything.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Backend, Server, Shares};
use crate::balance::Schedule;
use crate::config::{self, AllZero};
use crate::state::Cursor;

/// The groups of a backend.
#[derive(Debug)]
pub(crate) struct Groups {
    /// In the order of their names.
    all: Box<[Group]>,
    /// Over `serving`.
    schedule: Schedule,
    /// Groups in the schedule, as indices into `all`: those with a share and, when
    /// it was built, a usable server.
    serving: Box<[u32]>,
    /// The group of each server, as index into `all`. `None`: a backup that names
    /// no group stands behind all of them.
    of_server: Box<[Option<u32>]>,
    /// Sum of the shares of groups with a server that has a weight.
    total: u64,
}

/// Servers that get one share of the work.
#[derive(Debug)]
pub(crate) struct Group {
    /// Unique in the backend; empty for the servers that name none.
    pub(crate) name: Arc<str>,
    /// What the weights say.
    pub(crate) wanted: u32,
    /// What it gets in relation to the others: as wanted, or equal where all are 0.
    pub(crate) share: u32,
    /// Its servers that are not backups, as indices into the backend's.
    pub(crate) members: Box<[u32]>,
    /// Of these, the ones in the schedule: usable when it was built.
    pub(super) active: Box<[u32]>,
    /// Over `active`.
    pub(super) schedule: Schedule,
    /// Tickets of `schedule`, shared by its generations.
    pub(super) cursor: Arc<Cursor>,
    /// Sum of the weights of `members`.
    weights: u64,
}

impl Groups {
    /// The groups that `servers` form. A group that was there `before` keeps its
    /// cursor, and its schedule if that stays as it is.
    pub(super) fn new(
        config: &config::Groups,
        shares: &Shares,
        servers: &[Arc<Server>],
        before: Option<&Backend>,
    ) -> Self {
        let mut by_name: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (index, server) in (0..).zip(servers) {
            let name = server.group.as_deref().unwrap_or_default();
            if !(server.backup && name.is_empty()) {
                by_name.entry(name).or_default().push(index);
            }
        }
        let wanted = |name: &str| shares.get(name).copied().unwrap_or(config.missing);
        let is_equal =
            config.all_zero == AllZero::Equal && by_name.keys().all(|name| wanted(name) == 0);
        let mut of_server = vec![None; servers.len()];
        let mut all = Vec::with_capacity(by_name.len());
        for (name, indices) in by_name {
            for index in &indices {
                of_server[*index as usize] = Some(all.len() as u32);
            }
            let wanted = wanted(name);
            let share = if is_equal { 1 } else { wanted };
            all.push(Group::new(name, (wanted, share), &indices, servers, before));
        }
        let serving = (0..)
            .zip(&all)
            .filter(|(_, group)| group.share > 0 && !group.active.is_empty());
        let (serving, parts): (Vec<u32>, Vec<u32>) =
            serving.map(|(index, group)| (index, group.share)).unzip();
        let weighted = all.iter().filter(|group| group.weights > 0);
        Self {
            total: weighted.map(|group| u64::from(group.share)).sum(),
            schedule: Schedule::new(&parts),
            serving: serving.into(),
            of_server: of_server.into(),
            all: all.into(),
        }
    }

    /// In the order of their names.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Group> + Clone {
        self.all.iter()
    }

    /// The group of the server of this index; `None` for a backup that names none.
    pub(crate) fn of(&self, server: usize) -> Option<&Group> {
        self.of_server[server].map(|index| &self.all[index as usize])
    }

    /// Whose turn this ticket is; `None` if no group is served.
    #[inline]
    pub(super) fn turn(&self, ticket: u64) -> Option<&Group> {
        match self.serving.is_empty() {
            true => None,
            false => Some(&self.all[self.serving[self.schedule.slot(ticket)] as usize]),
        }
    }

    /// The part of all work that is meant for a server, in 256ths; as with a
    /// weight, whatever its health.
    pub(super) fn weight_of(&self, server: &Server, index: usize) -> u16 {
        match self.of(index) {
            None => server.weight,
            Some(group) if group.share == 0 => 0,
            Some(_) if server.backup || server.weight == 0 => server.weight,
            Some(group) => {
                let part = u128::from(group.share) * u128::from(server.weight);
                let whole = u128::from(self.total) * u128::from(group.weights);
                let rounded = (part * 256 + whole / 2) / whole;
                rounded.clamp(1, 256) as u16
            }
        }
    }

    /// Whether the same servers form the same groups with the same shares.
    pub(super) fn same(&self, other: &Self) -> bool {
        let same = |(a, b): (&Group, &Group)| {
            a.name == b.name
                && (a.wanted, a.share) == (b.wanted, b.share)
                && (&a.members, &a.active) == (&b.members, &b.active)
        };
        self.of_server == other.of_server
            && self.all.len() == other.all.len()
            && self.all.iter().zip(&other.all).all(same)
    }
}

impl Group {
    /// `indices` are its servers, backups too.
    fn new(
        name: &str,
        (wanted, share): (u32, u32),
        indices: &[u32],
        servers: &[Arc<Server>],
        before: Option<&Backend>,
    ) -> Self {
        let server = |index: &u32| &servers[*index as usize];
        let members: Box<[u32]> = (indices.iter().copied())
            .filter(|index| !server(index).backup)
            .collect();
        let is_active = |index: &u32| server(index).weight > 0 && server(index).state.is_usable();
        let active: Box<[u32]> = members.iter().copied().filter(is_active).collect();
        let weights: Vec<u32> = active.iter().map(|i| u32::from(server(i).weight)).collect();
        let known = before.and_then(|backend| {
            let group = backend
                .groups()?
                .iter()
                .find(|group| *group.name == *name)?;
            Some((group, &backend.servers))
        });
        let schedule = known.filter(|(group, servers)| {
            let before = group
                .active
                .iter()
                .map(|i| u32::from(servers[*i as usize].weight));
            before.eq(weights.iter().copied())
        });
        Self {
            name: known.map_or_else(|| name.into(), |(group, _)| Arc::clone(&group.name)),
            wanted,
            share,
            weights: members.iter().map(|i| u64::from(server(i).weight)).sum(),
            schedule: schedule.map_or_else(
                || Schedule::new(&weights),
                |(group, _)| group.schedule.clone(),
            ),
            cursor: known.map_or_else(Arc::default, |(group, _)| Arc::clone(&group.cursor)),
            members,
            active,
        }
    }
}

#[cfg(test)]
mod tests;
