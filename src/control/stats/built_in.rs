//! The page on a frontend: a route that no file has, to a backend that no file has.

use std::sync::Arc;
use std::time::Duration;

use super::Sites;
use crate::config::{BUILT_IN, Backend, Config, Mode, Route, RouteTo, Server, ServerAddress};

/// Events come each second; a page of many servers takes some milliseconds.
const ANSWER_MAX: Duration = Duration::from_secs(30);

impl Sites {
    /// The same configuration with a way to the page of each frontend that has one.
    pub(crate) fn with_routes(&self, config: Arc<Config>) -> Arc<Config> {
        if config.frontends.iter().all(|f| f.stats.is_none()) {
            return config;
        }
        let mut config = Arc::unwrap_or_clone(config);
        for frontend in &mut config.frontends {
            let Some(page) = &frontend.stats else {
                continue;
            };
            let index = config.backends.len();
            let route = |path: &String| Route {
                host: None,
                path_prefix: Some(path.clone()),
                methods: Vec::new(),
                headers: Vec::new(),
                to: RouteTo::Backend(index),
            };
            // Before all others: a route for every path must not hide the page.
            let ways = page.metrics.iter().chain([&page.path]).map(route);
            frontend.routes.splice(0..0, ways);
            let socket = ServerAddress::Abstract(self.socket_of(&frontend.name));
            config.backends.push(backend(&frontend.name, socket));
        }
        Arc::new(config)
    }
}

fn backend(frontend: &str, socket: ServerAddress) -> Backend {
    let mut backend = Backend::new(format!("{BUILT_IN}{frontend}"), Mode::Http);
    backend.servers = vec![Server::new("page", socket)];
    backend.timeouts.server = ANSWER_MAX;
    // A page is no traffic: nothing is kept open for it.
    backend.pool_max = 0;
    backend
}

#[cfg(test)]
mod tests {
    use std::rc::Weak;

    use super::*;
    use crate::config::{Frontend, Stats};

    #[test]
    fn page_comes_before_the_routes_of_the_file() {
        let sites = Sites::new(Weak::new());
        let mut www = Frontend::new("www", Mode::Http);
        www.stats = Some(Stats {
            path: "/haproxy?stats".to_owned(),
            metrics: Some("/metrics".to_owned()),
            ..Stats::default()
        });
        let config = Config {
            frontends: vec![Frontend::new("plain", Mode::Http), www],
            backends: vec![Backend::new("web", Mode::Http)],
            ..Config::default()
        };
        let plain = Config {
            frontends: config.frontends[..1].to_vec(),
            ..config.clone()
        };
        let plain = Arc::new(plain);
        assert!(Arc::ptr_eq(&sites.with_routes(Arc::clone(&plain)), &plain));

        let routed = sites.with_routes(Arc::new(config));
        assert!(routed.frontends[0].routes.is_empty());
        let routes = &routed.frontends[1].routes;
        let paths: Vec<_> = routes.iter().map(|r| r.path_prefix.as_deref()).collect();
        assert_eq!(paths, [Some("/metrics"), Some("/haproxy?stats")]);
        assert!(routes.iter().all(|route| route.to == RouteTo::Backend(1)));
        assert_eq!(&*routed.backends[1].name, "_stats:www");
    }
}
