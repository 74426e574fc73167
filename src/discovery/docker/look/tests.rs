use super::*;
use crate::discovery::SiteCheck;
use crate::discovery::docker::address::LOCALHOST;

struct World {
    listed: Vec<Listed>,
    inspected: HashMap<String, Inspected>,
    stopping: HashMap<String, u8>,
    settings: Docker,
    own: Option<usize>,
}

impl World {
    /// Containers of JSON objects, each with an id, a name and an address added.
    fn of(containers: &[&str]) -> Self {
        let listed = containers.iter().enumerate().map(|(index, json)| {
            let mut listed: Listed = serde_json::from_str(json).unwrap();
            if listed.id.is_empty() {
                listed.id = format!("{index:064}");
            }
            if listed.state.is_empty() {
                listed.state = "running".into();
            }
            if listed.network_settings.networks.is_empty() {
                let network = format!(r#"{{"IPAddress":"10.0.0.{}"}}"#, index + 1);
                let network = serde_json::from_str(&network).unwrap();
                let networks = &mut listed.network_settings.networks;
                networks.insert("demo_default".into(), network);
            }
            listed
        });
        Self {
            listed: listed.collect(),
            inspected: HashMap::new(),
            stopping: HashMap::new(),
            settings: Docker::default(),
            own: None,
        }
    }

    fn look(&self, asked: &[Asked]) -> Looked {
        let from = Standpoint {
            networks: None,
            host: Some(LOCALHOST),
        };
        look(
            &View {
                listed: &self.listed,
                inspected: &self.inspected,
                stopping: &self.stopping,
                settings: &self.settings,
                from: &from,
                own: self.own.map(|index| &self.listed[index]),
            },
            asked,
        )
    }

    fn named(&self, service: &str) -> Found {
        self.look(&[named(service)]).found.remove(0)
    }

    fn sites(&self) -> Found {
        self.look(&[Asked::Sites]).found.remove(0)
    }
}

fn named(service: &str) -> Asked {
    Asked::Named(DockerSource {
        service: service.into(),
        project: None,
        port: None,
        network: None,
        tags: Vec::new(),
    })
}

fn compose(project: &str, service: &str, number: u32, more: &str) -> String {
    format!(
        r#"{{"Names":["/{project}-{service}-{number}"],"Ports":[{{"PrivatePort":80,"Type":"tcp"}}],
        "Labels":{{"com.docker.compose.project":"{project}","com.docker.compose.service":"{service}",
        "com.docker.compose.container-number":"{number}"{more}}}}}"#
    )
}

fn names(found: &Found) -> Vec<&str> {
    found.members.iter().map(|member| &*member.name).collect()
}

fn left_out(found: &Found) -> Vec<String> {
    let rows = found.left_out.iter();
    rows.map(|row| format!("{}: {}", row.who, row.why))
        .collect()
}

#[test]
fn a_service_is_its_containers_in_the_order_of_their_numbers() {
    let [ten, two, db] = [
        compose("demo", "web", 10, ""),
        compose("demo", "web", 2, ""),
        compose("demo", "db", 1, ""),
    ];
    let found = World::of(&[&ten, &db, &two]).named("web");
    assert_eq!(names(&found), ["demo-web-2", "demo-web-10"]);
    assert_eq!(found.members[0].address.to_string(), "10.0.0.3:80");
    assert_eq!(found.left_out, []);
}

#[test]
fn the_own_project_is_meant_unless_another_is_named() {
    let mut world = World::of(&[
        &compose("a", "web", 1, ""),
        &compose("b", "web", 1, ""),
        &compose("b", "lb", 1, ""),
    ]);
    assert_eq!(names(&world.named("web")), ["a-web-1", "b-web-1"]);
    let warnings = world.look(&[named("web")]).warnings;
    let warning = warnings.first().unwrap();
    assert!(
        warning.contains("the projects a, b: write project"),
        "{warning}"
    );
    world.own = Some(2);
    assert_eq!(names(&world.named("web")), ["b-web-1"]);
    let Asked::Named(mut source) = named("web") else {
        unreachable!()
    };
    source.project = Some("a".into());
    let looked = world.look(&[Asked::Named(source)]);
    assert_eq!(names(&looked.found[0]), ["a-web-1"]);
    assert!(looked.warnings.is_empty());
}

#[test]
fn a_container_without_compose_goes_by_its_name() {
    let world = World::of(&[r#"{"Names":["/web"],"Ports":[{"PrivatePort":8080,"Type":"tcp"}]}"#]);
    assert_eq!(names(&world.named("web")), ["web"]);
    assert!(world.named("other").members.is_empty());
}

#[test]
fn every_candidate_left_out_has_its_reason() {
    let two_ports = r#"{"Names":["/demo-web-4"],"Labels":{"rlb.host":"a.b"},
        "Ports":[{"PrivatePort":80,"Type":"tcp"},{"PrivatePort":8080,"Type":"tcp"}]}"#;
    let restarting = r#"{"Names":["/demo-web-5"],"State":"restarting","Labels":{"rlb.host":"a.b"},
        "Ports":[{"PrivatePort":80,"Type":"tcp"}]}"#;
    let world = World::of(&[
        &compose("demo", "db", 1, ""),
        two_ports,
        restarting,
        &compose("demo", "web", 6, r#","rlb.enable":"true""#),
        &compose("demo", "web", 7, r#","rlb.enable":"false""#),
        &compose(
            "demo",
            "web",
            8,
            r#","rlb.host":"a.b","com.docker.compose.oneoff":"True""#,
        ),
        &compose("demo", "web", 9, r#","rlb.host":"a.b","rlb.port":"x""#),
    ]);
    assert_eq!(
        left_out(&world.sites()),
        [
            "demo-web-4: two exposed ports 80, 8080: set rlb.port",
            "demo-web-5: is restarting",
            "demo-db-1: no rlb.enable label",
            "demo-web-6: no rlb.host, and no backend has source = [{ docker = \"web\" }]",
            "demo-web-7: rlb.enable is false",
            "demo-web-8: a one-off container of compose run",
            "demo-web-9: rlb.port = \"x\": a number, 1 to 65535",
        ]
    );
}

#[test]
fn what_a_source_names_is_not_left_out_of_the_sites() {
    let world = World::of(&[&compose("demo", "web", 1, r#","rlb.enable":"true""#)]);
    let looked = world.look(&[named("web"), Asked::Sites]);
    assert_eq!(names(&looked.found[0]), ["demo-web-1"]);
    assert_eq!(looked.found[1], Found::default());
}

#[test]
fn a_host_makes_a_site() {
    let web = r#"{"Id":"ab","Names":["/demo-web-1"],"Created":1700000000,"Labels":{"rlb.host":"demo.example.com",
        "rlb.weight":"3","rlb.check":"/up","rlb.version":"2","team":"a"},
        "Ports":[{"PrivatePort":80,"Type":"tcp"}]}"#;
    let found = World::of(&[web]).sites();
    let [member] = &found.members[..] else {
        panic!("{found:?}")
    };
    assert_eq!((&*member.id, member.weight), ("ab", 3));
    assert_eq!(member.labels["rlb.version"], "2");
    assert_eq!(
        member.site.as_deref(),
        Some(&Site {
            backend: "demo_example_com".into(),
            hosts: vec!["demo.example.com".into()],
            check: Some(SiteCheck::Http("/up".into())),
            since: 1_700_000_000,
            ..Site::default()
        })
    );
}

#[test]
fn health_pause_and_stop_are_told() {
    let standing = |status: &str, health, state: &str| {
        let web = format!(
            r#"{{"Id":"ab","Names":["/web"],"Status":"{status}","State":"{state}","Ports":[{{"PrivatePort":80,"Type":"tcp"}}]}}"#
        );
        let mut world = World::of(&[&web]);
        world.settings.health = health;
        world.named("web").members[0].standing.clone()
    };
    let starting = "Up 1 second (health: starting)";
    let (soft, hard) = (DockerHealth::NotUnhealthy, DockerHealth::RequireHealthy);
    assert_eq!(standing(starting, soft, "running"), Standing::Good);
    assert_eq!(standing(starting, hard, "running").word(), "bad");
    assert_eq!(standing("Up (unhealthy)", soft, "running").word(), "bad");
    assert_eq!(
        standing("Up (unhealthy)", DockerHealth::Ignore, "running"),
        Standing::Good
    );
    assert_eq!(standing("Up", hard, "running"), Standing::Good);
    assert_eq!(standing("Up (Paused)", hard, "paused").word(), "bad");
    let mut world = World::of(&[&compose("demo", "web", 1, "")]);
    world.stopping.insert(world.listed[0].id.clone(), 15);
    assert_eq!(world.named("web").members[0].standing.word(), "draining");
}

#[test]
fn a_typing_error_is_warned_of_with_its_container() {
    let world = World::of(&[&compose("demo", "web", 3, r#","rlb.hosts":"a.b""#)]);
    let warnings = world.look(&[Asked::Sites]).warnings;
    assert_eq!(
        warnings.first().map(String::as_str),
        Some("demo-web-3: unknown label rlb.hosts: did you mean rlb.host?")
    );
}

#[test]
fn interlock_and_registrator_speak_by_the_environment() {
    let plain = r#"{"Id":"aa","Names":["/web"],"Ports":[{"PrivatePort":80,"Type":"tcp"},{"PrivatePort":81,"Type":"tcp"}]}"#;
    let env = |var: &str| {
        let json = serde_json::json!({ "Config": { "Env": [var] } });
        HashMap::from([("aa".to_owned(), serde_json::from_value(json).unwrap())])
    };
    let mut world = World::of(&[plain]);
    world.settings.conventions = vec![DockerConvention::Interlock, DockerConvention::Registrator];
    world.inspected =
        env(r#"INTERLOCK_DATA={"hostname":"demo","domain":"interlock.com","port":81}"#);
    let found = world.sites();
    assert_eq!(found.members[0].address.to_string(), "10.0.0.1:81");
    assert_eq!(
        found.members[0].site.as_ref().unwrap().backend,
        "demo_interlock_com"
    );
    world.inspected = env("SERVICE_NAME=shop");
    let found = world.named("shop-81");
    assert_eq!(names(&found), ["web:81"]);
    assert_eq!(found.members[0].id, "aa:81");
}

#[test]
fn expose_all_names_a_site_by_its_service() {
    let mut world = World::of(&[&compose("demo", "web", 1, "")]);
    world.settings.expose = DockerExpose::All;
    let found = world.sites();
    let site = found.members[0].site.as_ref().unwrap();
    assert_eq!(site.backend, "web");
    assert_eq!(site.hosts, ["web", "web.localhost"]);
}

#[test]
fn the_own_container_is_never_a_server() {
    let mut world = World::of(&[
        &compose("demo", "lb", 1, r#","rlb.host":"a.b""#),
        &compose("demo", "lb", 2, ""),
    ]);
    world.own = Some(0);
    assert_eq!(
        left_out(&world.sites()),
        [
            "demo-lb-1: is this process's own container",
            "demo-lb-2: no rlb.enable label"
        ]
    );
}
