//! Groups of servers, as the socket shows and changes them.

use super::Running;

const CANARY: &str = r#"
[[listen]]
name = "goat"
bind = "127.0.0.1:0"
server = [
  { name = "a1", address = "127.0.0.1:1", group = "0.0.1" },
  { name = "a2", address = "127.0.0.1:2", group = "0.0.1", weight = 3 },
  { name = "b1", address = "127.0.0.1:3", group = "0.0.2" },
  { name = "c1", address = "127.0.0.1:4", group = "0.0.3" },
  { name = "x1", address = "127.0.0.1:5", group = "0.0.4" },
]
[listen.groups]
weights.static = { "0.0.1" = 80, "0.0.2" = 20, "0.0.4" = 1000000 }
"#;

/// The cells of these columns of `show stat`, a server each.
fn cells(rlb: &Running, columns: &[&str]) -> Vec<String> {
    let stat = rlb.ask("show stat goat 4 -1");
    let mut lines = stat.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let wanted = columns.iter().map(|name| {
        let name = header
            .iter()
            .position(|column| column.trim_start_matches("# ") == *name);
        name.unwrap()
    });
    let wanted: Vec<usize> = wanted.collect();
    let cells = |line: Vec<&str>| {
        wanted
            .iter()
            .map(|at| line[*at])
            .collect::<Vec<_>>()
            .join(" ")
    };
    lines.filter(|line| line.len() > 1).map(cells).collect()
}

#[test]
fn weight_of_a_server_is_its_part_of_all_and_never_rounded_to_nothing() {
    let rlb = Running::with(CANARY);
    let columns = ["svname", "weight", "uweight"];
    let expected = ["a1 1 1", "a2 1 3", "b1 1 1", "c1 0 1", "x1 256 1"];
    assert_eq!(cells(&rlb, &columns), expected);
    assert_eq!(rlb.ask("get weight goat/a2"), "3 (initial 3)");
}

#[test]
fn groups_show_what_they_are_meant_to_get_and_what_they_get() {
    let rlb = Running::with(CANARY);
    rlb.obeys("disable server goat/x1");
    assert_eq!(
        rlb.ask("show groups goat"),
        "# group     weight   wanted  served  usable\n\
         goat/0.0.1  80       0.008%  80%     2/2\n\
         goat/0.0.2  20       0.002%  20%     1/1\n\
         goat/0.0.3  0        0%      0%      1/1\n\
         goat/0.0.4  1000000  99.99%  0%      0/1"
    );
    // Out of its group alone: the group keeps its share.
    rlb.obeys("set weight goat/a2 0");
    let groups = rlb.ask("show groups");
    assert!(
        groups.contains("goat/0.0.1  80       0.008%  80%     1/2"),
        "{groups}"
    );
    assert_eq!(cells(&rlb, &["svname", "weight"])[..2], ["a1 1", "a2 0"]);
    let json: serde_json::Value = serde_json::from_str(&rlb.ask("show groups json")).unwrap();
    assert_eq!(json[0]["group"], "0.0.1");
    assert_eq!(json[0]["weight"], 80);
    assert_eq!(json[0]["servers"][1], "a2");
    assert_eq!(rlb.ask("show groups nobody"), "No such backend.");
    let explained = rlb.ask("explain GET http://x/");
    assert!(
        explained.contains("a1 127.0.0.1:1 group 0.0.1 weight 1 80.0% "),
        "{explained}"
    );
}
