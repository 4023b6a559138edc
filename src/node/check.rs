//! `atoll node check`: reads the databases as runs do, and says what is in them, what is wrong with them and what of them is
//! told. It names columns and lines, and never a value.

use std::{
    collections::HashSet,
    fmt::Write,
    hash::{DefaultHasher, Hash, Hasher},
};

use arrow_array::{cast::AsArray, types::UInt64Type};
use arrow_schema::DataType;

use super::{
    config::{DatabaseConfig, NodeConfig},
    database::{self, LINE},
    error::RunError,
};
use crate::{
    algorithms::{AlgorithmError, Number, Table, for_each_identifier, for_each_value},
    protocol::{name::plain_name, printable::printable},
};

/// Columns that are read in one pass.
const AT_ONCE: usize = 64;

/// What was found.
pub struct Checked {
    /// The report, line by line.
    pub text: String,
    /// Whether runs can read every database.
    pub is_well: bool,
}

/// Looks at all databases of a node. It reads each of them whole, so it may take a while, and blocks.
pub fn check(config: &NodeConfig) -> Checked {
    let mut checked = Checked { text: String::new(), is_well: true };
    let databases = config.database_list();
    if databases.is_empty() {
        checked.line("There is no database in the configuration.");
        checked.is_well = false;
    }
    let weaker = config.policies.limits().weaker();
    if !weaker.is_empty() {
        checked.line(&format!("The policies protect less than usual: {}.\n", weaker.join(", ")));
    }
    for database in &databases {
        checked.line(&format!("{} ({}, {})", database.label, database.kind, database.uri));
        if let Err(error) = checked.database(config, database) {
            checked.problem(&error.in_full());
        }
        checked.line("");
    }
    checked
}

/// What the values of a column are.
#[derive(Debug, Default, Clone)]
struct Found {
    whole: u64,
    booleans: u64,
    decimal: u64,
    others: u64,
    /// Where the first of these stands.
    first_other: Option<u64>,
    first_boolean: Option<u64>,
    missing: u64,
}

impl Found {
    fn numbers(&self) -> u64 {
        self.whole + self.decimal
    }

    /// As runs have it: true beside numbers is a text.
    fn read_as_runs_do(mut self) -> Found {
        if self.booleans > 0 && self.numbers() > 0 {
            self.others += std::mem::take(&mut self.booleans);
            self.first_other = self.first_other.into_iter().chain(self.first_boolean).min();
        }
        self
    }

    fn in_words(&self, kind: &DataType) -> String {
        let numbers = |number| match self.decimal {
            0 => counted(number, "whole number", "whole numbers"),
            _ => counted(number, "number", "numbers"),
        };
        let (one, many) = match kind {
            kind if kind.is_temporal() => ("date or time", "dates or times"),
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) => {
                ("list, which no function reads", "lists, which no function reads")
            }
            kind if kind.is_nested() => {
                ("value of several parts, which no function reads", "values of several parts, which no function reads")
            }
            DataType::Null => ("value of a type that is not known", "values of a type that is not known"),
            kind if kind.is_numeric() => ("number of more than 30 digits", "numbers of more than 30 digits"),
            kind if kind.is_binary() => {
                ("value of bytes, which no function reads", "values of bytes, which no function reads")
            }
            _ => ("text", "texts"),
        };
        let what = match (self.numbers() + self.booleans, self.others) {
            (number, 0) if self.booleans > 0 => {
                counted(number, "value that is true or false", "values that are true or false")
            }
            (0, 0) => "no values".to_owned(),
            (number, 0) => numbers(number),
            (0, others) => counted(others, one, many),
            (number, others) => format!("{} and {}", numbers(number), counted(others, one, many)),
        };
        if self.missing > 0 { format!("{what}, {} missing", self.missing) } else { what }
    }
}

/// The columns of a database that policies name, with their keys. Of several databases each can have some of those that may
/// be used though they identify people.
fn named_by_policies<'a>(config: &'a NodeConfig, label: &str) -> Vec<(&'static str, &'a [String])> {
    let rules = config.policies.allowed_databases.iter().flatten().filter(|rule| rule.database == label);
    let mut named: Vec<_> = rules.filter_map(|rule| Some(("allowed_databases", rule.columns.as_deref()?))).collect();
    if config.database_list().len() == 1 {
        named.push(("allowed_identifiers", &config.policies.allowed_identifiers));
    }
    named
}

/// "1 row", "4 rows"
fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Whom the rows are about.
#[derive(Default)]
struct People {
    all: HashSet<u64>,
    nobody: u64,
    first_nobody: Option<u64>,
}

impl Checked {
    fn line(&mut self, line: &str) {
        // Writing into a String cannot fail.
        let _ = writeln!(self.text, "{}", printable(line));
    }

    /// Something because of which runs fail.
    fn problem(&mut self, what: &str) {
        self.is_well = false;
        self.line(&format!("  PROBLEM: {what}"));
    }

    fn database(&mut self, config: &NodeConfig, database: &DatabaseConfig) -> Result<(), RunError> {
        let Table { schema, identifiers, .. } = database::open(database)?;
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        let mut people = database.person.as_ref().map(|_| People::default());
        // What is wrong with the whole file is found without any column.
        let (_, rows) = read(database, &[], people.as_mut())?;
        let all: Vec<usize> = (0..names.len()).collect();
        let found: Vec<Result<Found, String>> =
            all.chunks(AT_ONCE).flat_map(|group| read_each(database, group)).collect();
        let of_people = people.as_ref().map(|people| counted(people.all.len() as u64, "person", "people"));
        let facts = [counted(rows, "row", "rows"), counted(names.len() as u64, "column", "columns")];
        self.line(&format!("  {}", facts.into_iter().chain(of_people).collect::<Vec<_>>().join(", ")));
        let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or_default().min(40);
        for ((name, field), found) in names.iter().zip(schema.fields()).zip(&found) {
            let told = config.share_config && config.policies.anybody_may_use(&database.label, name);
            let found = match found {
                Ok(found) => found,
                Err(reason) => {
                    self.problem(&format!("the column {name} cannot be read: {reason}"));
                    continue;
                }
            };
            let mut notes = vec![found.in_words(field.data_type())];
            if database.person.as_ref() == Some(name) {
                notes.push("says who rows are about".to_owned());
            } else if identifiers.iter().any(|named| plain_name(named) == plain_name(name)) {
                notes.push("identifies people".to_owned());
            }
            if found.numbers() > found.others && found.others > 0 {
                let line = found.first_other.map(|line| format!(", the first in line {line}")).unwrap_or_default();
                notes.push(format!("the texts among its numbers keep it from being read{line}"));
            }
            notes.push(if told { "its name is told" } else { "its name is not told" }.to_owned());
            self.line(&format!("    {name:<widest$}  {}", notes.join("; ")));
        }
        if let Some(People { nobody, first_nobody, .. }) = people.filter(|people| people.nobody > 0) {
            let line = first_nobody.map(|line| format!(", the first in line {line}")).unwrap_or_default();
            self.problem(&format!(
                "{} about nobody{line}: as long as there is such a row nothing is told",
                counted(nobody, "row is", "rows are")
            ));
        }
        for (key, columns) in named_by_policies(config, &database.label) {
            for missing in
                columns.iter().filter(|column| !names.iter().any(|name| plain_name(name) == plain_name(column)))
            {
                self.line(&format!("  There is no column \"{missing}\", which the policies name ({key})."));
            }
        }
        if database.person.is_none() {
            self.line(
                "  Each row counts as a person: name the column that says who they are about (person:) if somebody can have \
                 several. Without it answers are compared by the file and its number of rows: somebody who replaces rows can \
                 find out about them.",
            );
        }
        if rows < config.policies.limits().minimum_rows.unwrap_or_default() {
            self.line("  It has fewer rows than minimum_rows: nothing is told of it.");
        }
        if !config.share_config {
            self.line("  The server is told of its label and of no column (share_config).");
        }
        Ok(())
    }
}

/// Reads some columns; of each what is in it, or why it cannot be read: one that is damaged spoils none of the others.
fn read_each(database: &DatabaseConfig, columns: &[usize]) -> Vec<Result<Found, String>> {
    match read(database, columns, None) {
        Ok((found, _)) => found.into_iter().map(Ok).collect(),
        Err(error) if columns.len() == 1 => {
            vec![Err(error.in_full().trim_start_matches("the database cannot be read: ").to_owned())]
        }
        Err(_) => {
            let (some, others) = columns.split_at(columns.len() / 2);
            [read_each(database, some), read_each(database, others)].concat()
        }
    }
}

/// Reads some columns; what is in them, and how many rows there are.
fn read(
    database: &DatabaseConfig,
    columns: &[usize],
    mut people: Option<&mut People>,
) -> Result<(Vec<Found>, u64), RunError> {
    let table = database::open_with_lines(database)?;
    let (untyped, has_person) = (table.untyped, table.has_person);
    let line = table.schema.index_of(LINE).ok();
    let asked: Vec<usize> = columns.iter().copied().chain(line).collect();
    let (mut found, mut rows) = (vec![Found::default(); columns.len()], 0);
    for batch in (table.read)(&asked)? {
        let batch = batch?;
        let lines = line.map(|_| batch.column(columns.len()).as_primitive::<UInt64Type>().clone());
        // Without lines the number of the row stands for them.
        let line_of = |row: usize| lines.as_ref().map_or(rows + row as u64 + 1, |lines| lines.value(row));
        for (found, array) in found.iter_mut().zip(batch.columns()) {
            let before = found.numbers() + found.booleans + found.others;
            for_each_value(untyped, array, |row, number| match number {
                Some(Number::Boolean(_)) => {
                    found.booleans += 1;
                    found.first_boolean.get_or_insert_with(|| line_of(row));
                }
                Some(number) if number.is_whole() => found.whole += 1,
                Some(_) => found.decimal += 1,
                None => {
                    found.others += 1;
                    found.first_other.get_or_insert_with(|| line_of(row));
                }
            });
            found.missing += batch.num_rows() as u64 - (found.numbers() + found.booleans + found.others - before);
        }
        if let Some(people) = people.as_mut().filter(|_| has_person) {
            let mut row = 0;
            let see = |identifier: Option<String>| {
                match identifier {
                    Some(identifier) => {
                        // Millions of them take less memory so.
                        let mut hasher = DefaultHasher::new();
                        identifier.hash(&mut hasher);
                        people.all.insert(hasher.finish());
                    }
                    None => {
                        people.nobody += 1;
                        people.first_nobody.get_or_insert_with(|| line_of(row));
                    }
                }
                row += 1;
            };
            for_each_identifier(batch.column(batch.num_columns() - 1), see)
                .map_err(|_| AlgorithmError::Unreadable("the column that says who its rows are about".to_owned()))?;
        }
        rows += batch.num_rows() as u64;
    }
    Ok((found.into_iter().map(Found::read_as_runs_do).collect(), rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// What is said of files with these contents, each with more lines of configuration.
    fn said(files: &[(&str, &str, &str)]) -> Checked {
        let folder = tempfile::tempdir().unwrap();
        let mut text = "api_key: k\nserver_url: http://localhost\nport: 5000\ndatabases:\n".to_owned();
        for (name, content, more) in files {
            // As Latin-1 has it, which is UTF-8 where all is ASCII.
            let bytes: Vec<u8> = content.chars().map(|letter| u8::try_from(u32::from(letter)).unwrap()).collect();
            std::fs::write(folder.path().join(name), bytes).unwrap();
            let label = Path::new(name).file_stem().unwrap().to_string_lossy();
            text.push_str(&format!("  - {{label: {label}, type: csv, uri: {name}{more}}}\n"));
        }
        let path = folder.path().join("node.yaml");
        std::fs::write(&path, text).unwrap();
        check(&NodeConfig::read(&path).unwrap())
    }

    #[test]
    fn a_steward_reads_what_is_in_a_file_and_where_something_is_wrong_and_no_value() {
        let file = "id,age,weight,note\nP1,60,70.5,secret\nP2,,71,\n\nP2,secret,72,x\nP3,61,NA,\n";
        let Checked { text, is_well } = said(&[("default.csv", file, ", person: id")]);
        assert!(is_well, "{text}");
        for told in [
            "4 rows, 4 columns, 3 people",
            "id      4 texts; says who rows are about; its name is told",
            "age     2 whole numbers and 1 text, 1 missing; the texts among its numbers keep it from being read, the first in line 5",
            "weight  3 numbers, 1 missing",
            "note    2 texts, 2 missing",
            "fewer rows than minimum_rows",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        assert!(!text.contains("secret"), "{text}");
    }

    #[test]
    fn what_policies_and_identifiers_name_has_to_be_there() {
        let file = "Insurance No,smoker,odd\n7,True,1\n8,FALSE,True\n9,,2\n";
        let Checked { text, is_well } = said(&[("default.csv", file, ", identifiers: [insurance_no]")]);
        assert!(is_well, "{text}");
        for told in [
            "Insurance No  3 whole numbers; identifies people",
            "smoker        2 values that are true or false, 1 missing;",
            "odd           2 whole numbers and 1 text; the texts among its numbers keep it from being read, the first in line 3",
            "Without it answers are compared by the file",
        ] {
            assert!(text.contains(told), "{told}: {text}");
        }
        let policies = "\npolicies: {minimum_rows: 1, allowed_identifiers: [nobody], allowed_databases: [{database: default, \
                        columns: [odd, gone]}]}\n";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("default.csv"), file).unwrap();
        let path = folder.path().join("node.yaml");
        let database = "databases:\n  - {label: default, type: csv, uri: default.csv, identifiers: [insurance]}";
        std::fs::write(&path, format!("api_key: k\nserver_url: http://localhost\n{database}{policies}")).unwrap();
        let Checked { text, is_well } = check(&NodeConfig::read(&path).unwrap());
        assert!(
            !is_well && text.contains("no column \"insurance\"") && text.contains("protect less than usual"),
            "{text}"
        );
        std::fs::write(
            &path,
            format!(
                "api_key: k\nserver_url: http://localhost\n{}{policies}",
                database.replace("insurance]", "insurance_no]")
            ),
        )
        .unwrap();
        let Checked { text, .. } = check(&NodeConfig::read(&path).unwrap());
        for told in ["no column \"gone\"", "no column \"nobody\"", "allowed_identifiers"] {
            assert!(text.contains(told), "{told}: {text}");
        }
    }

    #[test]
    fn what_no_run_can_read_is_a_problem() {
        for (content, more, told) in [
            ("age,note\n60,x\n70,\u{f6}\n", "", "the column note cannot be read: line 3 is not UTF-8"),
            ("age,note\n60,x\n", ", identifiers: [ages]", "there is no column \"ages\""),
            ("age,note\n60,\"secret\n70,x\n", "", "opens in line 2 does not close"),
            ("age,note\n60,x\n70,secret,y\n", "", "line 3 has 3 values"),
            ("10001,1950-02-03,60\n10002,1961-07-08,70\n", "", "looks like data"),
            ("id,age\nP1,60\n,70\n", ", person: id", "1 row is about nobody, the first in line 3"),
            ("", "", "empty"),
        ] {
            let Checked { text, is_well } = said(&[("default.csv", content, more), ("other.csv", "a,b\n1,2\n", "")]);
            assert!(!is_well && text.contains("PROBLEM: ") && text.contains(told), "{told}: {text}");
            assert!(!text.contains("secret") && !text.contains("10001"), "{text}");
            // One damaged database does not hide the others.
            assert!(text.contains("1 row, 2 columns"), "{text}");
        }
    }
}
