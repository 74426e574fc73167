//! HAProxy's numbers for what has a name: iid of a proxy, sid of a server.

use std::collections::HashMap;
use std::sync::Arc;

use crate::generation::{Backend, Frontend, Generation, Server};
use crate::state::{BackendId, FrontendId, ServerId};

/// Numbers in order of first sight. They hang on the identity, so a reload
/// keeps them, and are not given out again within the process: a number that a
/// client remembers never means another server.
#[derive(Debug)]
pub(crate) struct Numbers {
    next_proxy: u32,
    frontends: HashMap<FrontendId, u32>,
    backends: HashMap<BackendId, Proxy>,
    servers: HashMap<ServerId, u32>,
}

#[derive(Debug)]
struct Proxy {
    iid: u32,
    next_server: u32,
}

/// HAProxy gives 1 to the proxy of its socket.
const FIRST_PROXY: u32 = 2;

impl Default for Numbers {
    fn default() -> Self {
        Self {
            next_proxy: FIRST_PROXY,
            frontends: HashMap::new(),
            backends: HashMap::new(),
            servers: HashMap::new(),
        }
    }
}

impl Numbers {
    /// Gives a number to everything that has none. A `[[listen]]` is one proxy:
    /// its two halves share one.
    pub(crate) fn assign(&mut self, generation: &Generation) {
        for frontend in &generation.frontends {
            let id = frontend.state.id;
            if !self.frontends.contains_key(&id) {
                let half = other_half(generation, frontend);
                let known = half.and_then(|backend| self.backends.get(&backend.state.id));
                let iid = known.map(|proxy| proxy.iid);
                let iid = iid.unwrap_or_else(|| self.next_proxy());
                self.frontends.insert(id, iid);
            }
            if let Some(backend) = other_half(generation, frontend) {
                let iid = self.frontends[&id];
                self.backend(backend.state.id, |_| iid);
            }
        }
        for backend in &generation.backends {
            self.backend(backend.state.id, Self::next_proxy);
            for server in &backend.servers {
                self.server(backend.state.id, server.id());
            }
        }
    }

    /// Forgets what is not served any more.
    pub(crate) fn retain(
        &mut self,
        frontend: impl Fn(FrontendId) -> bool,
        backend: impl Fn(BackendId) -> bool,
        server: impl Fn(ServerId) -> bool,
    ) {
        self.frontends.retain(|id, _| frontend(*id));
        self.backends.retain(|id, _| backend(*id));
        self.servers.retain(|id, _| server(*id));
    }

    /// Number of a frontend; 0 = not assigned yet.
    pub(crate) fn frontend_iid(&self, id: FrontendId) -> u32 {
        self.frontends.get(&id).copied().unwrap_or(0)
    }

    /// Number of a backend; 0 = not assigned yet.
    pub(crate) fn backend_iid(&self, id: BackendId) -> u32 {
        self.backends.get(&id).map_or(0, |proxy| proxy.iid)
    }

    /// Number of a server within its backend; 0 = not assigned yet.
    pub(crate) fn sid(&self, id: ServerId) -> u32 {
        self.servers.get(&id).copied().unwrap_or(0)
    }

    /// A backend by name, or by `#iid`.
    pub(crate) fn find_backend<'a>(
        &self,
        generation: &'a Generation,
        word: &str,
    ) -> Option<&'a Arc<Backend>> {
        match number(word) {
            Some(iid) => generation
                .backends
                .iter()
                .find(|backend| self.backend_iid(backend.state.id) == iid),
            None => generation.backend(word),
        }
    }

    /// A frontend by name, or by `#iid`.
    pub(crate) fn find_frontend<'a>(
        &self,
        generation: &'a Generation,
        word: &str,
    ) -> Option<&'a Arc<Frontend>> {
        let found = |frontend: &&Arc<Frontend>| match number(word) {
            Some(iid) => self.frontend_iid(frontend.state.id) == iid,
            None => *frontend.config.name == *word,
        };
        generation.frontends.iter().find(found)
    }

    /// A server of a backend by name, or by `#sid`.
    pub(crate) fn find_server<'a>(
        &self,
        backend: &'a Backend,
        word: &str,
    ) -> Option<&'a Arc<Server>> {
        match number(word) {
            Some(sid) => backend.servers.iter().find(|s| self.sid(s.id()) == sid),
            None => backend.server(word),
        }
    }

    fn next_proxy(&mut self) -> u32 {
        let iid = self.next_proxy;
        self.next_proxy += 1;
        iid
    }

    fn backend(&mut self, id: BackendId, iid: impl FnOnce(&mut Self) -> u32) {
        if !self.backends.contains_key(&id) {
            let iid = iid(self);
            let next_server = 1;
            self.backends.insert(id, Proxy { iid, next_server });
        }
    }

    fn server(&mut self, backend: BackendId, id: ServerId) {
        if self.servers.contains_key(&id) {
            return;
        }
        if let Some(proxy) = self.backends.get_mut(&backend) {
            self.servers.insert(id, proxy.next_server);
            proxy.next_server += 1;
        }
    }
}

/// The backend of a `[[listen]]`: it has the frontend's name and is its default.
pub(super) fn other_half<'a>(
    generation: &'a Generation,
    frontend: &Frontend,
) -> Option<&'a Arc<Backend>> {
    let backend = generation.backends.get(frontend.config.default_backend?)?;
    (backend.name == frontend.config.name).then_some(backend)
}

/// `#4` is 4. Never 0, which nobody has.
fn number(word: &str) -> Option<u32> {
    let digits = word.strip_prefix('#')?;
    digits.parse().ok().filter(|number| *number > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::testing::{backend, desired, frontend, server};

    #[test]
    fn listen_is_one_proxy_and_numbers_survive_a_reload() {
        let first = desired(
            vec![
                frontend("www", &[80], Some(0)),
                frontend("db", &[90], Some(1)),
            ],
            vec![
                backend("web", vec![server(1, 1), server(2, 1)]),
                backend("db", vec![server(3, 1)]),
            ],
        );
        let (generation, _) = Generation::first(&first, 1);
        let mut numbers = Numbers::default();
        numbers.assign(&generation);
        let find = |numbers: &Numbers, generation: &Generation, word: &str| {
            let backend = numbers.find_backend(generation, word)?;
            Some((
                Arc::clone(&backend.name),
                numbers.backend_iid(backend.state.id),
            ))
        };
        assert_eq!(find(&numbers, &generation, "db"), Some(("db".into(), 3)));
        assert_eq!(find(&numbers, &generation, "#4"), Some(("web".into(), 4)));
        assert_eq!(find(&numbers, &generation, "#0"), None);
        let www = numbers.find_frontend(&generation, "#2").unwrap();
        assert_eq!(&*www.config.name, "www");

        let second = desired(
            vec![
                frontend("new", &[70], Some(0)),
                frontend("www", &[80], Some(0)),
            ],
            vec![backend("web", vec![server(9, 1), server(2, 1)])],
        );
        let (generation, _) = generation.next(&second, 1);
        numbers.assign(&generation);
        assert_eq!(find(&numbers, &generation, "web"), Some(("web".into(), 4)));
        let web = generation.backend("web").unwrap();
        let sids: Vec<u32> = web.servers.iter().map(|s| numbers.sid(s.id())).collect();
        assert_eq!(sids, [3, 2], "a new server gets a new number");
        assert_eq!(&*numbers.find_server(web, "#2").unwrap().name, "s2");
        assert!(numbers.find_server(web, "#1").is_none());
        let new = numbers.find_frontend(&generation, "new").unwrap();
        assert_eq!(numbers.frontend_iid(new.state.id), 5);
    }
}
