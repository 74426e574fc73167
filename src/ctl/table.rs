//! Answers made for machines, for people.

/// Columns of `show stat` that people look at; the CSV has more than ninety.
const STAT: [&str; 17] = [
    "pxname",
    "svname",
    "status",
    "weight",
    "act",
    "bck",
    "scur",
    "smax",
    "slim",
    "stot",
    "rate",
    "bin",
    "bout",
    "econ",
    "eresp",
    "check_status",
    "lastchg",
];
/// A column between two others.
const GAP: &str = "  ";

/// The answer with its columns aligned, if it is a table.
pub(super) fn readable(text: &str) -> String {
    let Some(header) = text.lines().find(|line| line.starts_with("# ")) else {
        return text.to_owned();
    };
    // `show servers state` begins with the version of its format.
    let rest = text.split_once(header).map_or("", |(_, rest)| rest);
    let names = header.trim_start_matches("# ");
    if names.contains(',') {
        return csv(names, rest);
    }
    let rows = std::iter::once(names).chain(rest.lines().filter(|line| !line.is_empty()));
    let rows: Vec<Vec<String>> = rows
        .map(|line| line.split_whitespace().map(str::to_owned).collect())
        .collect();
    // Cells that hold blanks, as sentences do, would fall apart.
    if rows.iter().any(|row| row.len() > rows[0].len()) {
        return text.to_owned();
    }
    aligned(&rows)
}

fn csv(names: &str, rest: &str) -> String {
    let all: Vec<&str> = names.split(',').collect();
    let columns: Vec<usize> = STAT
        .iter()
        .filter_map(|wanted| all.iter().position(|name| name == wanted))
        .collect();
    let row = |line: &str| -> Vec<String> {
        let cells: Vec<&str> = line.split(',').collect();
        let cell = |column: &usize| cells.get(*column).map_or("", |cell| *cell).to_owned();
        columns.iter().map(cell).collect()
    };
    let rows = std::iter::once(names).chain(rest.lines().filter(|line| !line.is_empty()));
    aligned(&rows.map(row).collect::<Vec<_>>())
}

/// Numbers stand to the right, words to the left.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            cells(column)
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let numeric: Vec<bool> = (0..columns)
        .map(|column| {
            let mut values = cells(column).skip(1);
            values.all(|cell| {
                cell.bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'-')
            })
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let line: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(column, cell)| {
                let width = widths[column];
                if numeric[column] {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text.push_str(line.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_shows_the_columns_people_look_at() {
        let text = "# pxname,svname,qcur,scur,stot,status,weight,\nweb,s1,0,1,1000,UP,10,\nweb,BACKEND,0,12,1001,UP,20,\n";
        assert_eq!(
            readable(text),
            "pxname  svname   status  weight  scur  stot\n\
             web     s1       UP          10     1  1000\n\
             web     BACKEND  UP          20    12  1001\n"
        );
    }

    #[test]
    fn tables_are_aligned_and_other_text_is_left() {
        assert_eq!(
            readable("# a bbb\n1 x\n100 yy\n"),
            "  a  bbb\n  1  x\n100  yy\n"
        );
        assert_eq!(readable("1\n# a b\n1 x\n"), "a  b\n1  x\n");
        for text in ["10 (initial 10)\n", "", "# name\na sentence of words\n"] {
            assert_eq!(readable(text), text);
        }
    }
}
