//! Attacks by what is asked of tables.

use atoll::protocol::status::Status;
use serde_json::json;

use super::{AGES, FORMATS, Table, Target, suppressed};

const WITH_PERSON: &str = ", person: patient";

#[tokio::test(flavor = "multi_thread")]
async fn a_station_that_says_nothing_tells_nothing_about_few() {
    for format in FORMATS {
        let one = Table::of("income", &[91_234.0]);
        let nine = Table::of("income", &AGES[..9]);
        let many = Table::of("income", &[AGES, AGES].concat());
        let target = Target::new(format, &[("one", &one), ("nine", &nine), ("many", &many)], "", "").await;
        for label in ["one", "nine"] {
            let result = target.ask(label, "income").await;
            assert!(suppressed(&result).contains("fewer than 10 rows"), "{result}");
            assert!(!result.to_string().contains("91234"), "{result}");
        }
        assert_eq!(target.ask("many", "income").await["count"], 24);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_rows_of_few_people_are_few_people() {
    for format in FORMATS {
        let mut visits = Table::of("visits", &AGES);
        visits.patients = ["A", "B", "C"].repeat(4).into_iter().map(str::to_owned).collect();
        let target = Target::new(format, &[("default", &visits)], WITH_PERSON, "").await;
        assert!(suppressed(&target.ask("default", "visits").await).contains("people"), "{format}");
        // Values that are missing do not make somebody take part.
        let mut sparse = Table::of("visits", &[AGES, AGES].concat());
        for value in &mut sparse.columns[0].1[..16] {
            *value = f64::NAN;
        }
        target.write("default", &sparse);
        assert!(suppressed(&target.ask("default", "visits").await).contains("fewer than 10 people"), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sum_of_zeros_and_ones_is_a_count_and_so_is_what_is_missing_of_it() {
    for format in FORMATS {
        for (ones, told) in [(3, false), (37, false), (5, true), (35, true), (0, true)] {
            let values: Vec<f64> = (0..40).map(|row| f64::from(row < ones)).collect();
            let target = Target::new(format, &[("default", &Table::of("smoker", &values))], "", "").await;
            let result = target.ask("default", "smoker").await;
            match told {
                true => assert_eq!(result["sum"].as_f64(), Some(f64::from(ones)), "{result}"),
                false => assert!(suppressed(&result).contains("same value"), "{result}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identifiers_are_refused_by_name_and_by_their_values() {
    for format in FORMATS {
        let numbers: Vec<f64> = (0..40).map(|row| f64::from(700_000 + row * 13)).collect();
        let mut table = Table::of("number", &numbers);
        table.columns.push(("insurance", [AGES, AGES, AGES].concat()[..36].to_vec()));
        table.columns[1].1.extend([61.0; 4]);
        let target = Target::new(format, &[("default", &table)], ", identifiers: [insurance]", "").await;
        for column in ["number", "insurance"] {
            let (status, log, result) = target.ask_with("default", json!({"column_name": column})).await;
            assert_eq!((status, &result), (Status::Crashed, &serde_json::Value::Null), "{column}");
            assert!(log.contains("identifies people") && !log.contains("700013"), "{log}");
        }
        // In whatever letters, and also the second column of a name.
        let mut twice = table.clone();
        twice.columns =
            vec![("bsn", table.columns[0].1.clone()), ("bsn ", [AGES, AGES, AGES, AGES].concat()[..40].to_vec())];
        let target = Target::new(format, &[("default", &twice)], ", identifiers: [\"B S N\"]", "").await;
        twice.columns.push(("bsn (2)", twice.columns[1].1.clone()));
        twice.columns.push(("bsn_x", twice.columns[1].1.clone()));
        twice.columns.push(("bsn.y", twice.columns[1].1.clone()));
        twice.columns.push(("bsn_right", twice.columns[1].1.clone()));
        let target = match format {
            "csv" => Target::new(format, &[("default", &twice)], ", identifiers: [\"B S N\"]", "").await,
            _ => target,
        };
        for column in ["bsn", "bsn.1"]
            .into_iter()
            .chain(["bsn (2)", "bsn_x", "bsn.y", "bsn_right"].into_iter().filter(|_| format == "csv"))
        {
            let (status, log, _) = target.ask_with("default", json!({"column_name": column})).await;
            assert!(status == Status::Crashed && log.contains("identifies people"), "{column}: {log}");
        }
        let allowed = "policies: {allowed_identifiers: [number]}\n";
        let target = Target::new(format, &[("default", &table)], ", identifiers: [insurance]", allowed).await;
        assert_eq!(target.ask("default", "number").await["count"], 40);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_value_that_is_nearly_all_of_a_sum_is_not_told() {
    for format in FORMATS {
        let mut costs = Table::of("cost", &AGES);
        costs.columns[0].1[0] = 1_000_000.0;
        let target = Target::new(format, &[("default", &costs)], "", "").await;
        let result = target.ask("default", "cost").await;
        assert!(suppressed(&result).contains("0.85 of the sum") && !result.to_string().contains("1000000"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_before_and_after_one_admission_tells_nothing_of_it() {
    for (format, database) in FORMATS.into_iter().flat_map(|format| [(format, ""), (format, WITH_PERSON)]) {
        let mut table = Table::of("age", &AGES);
        let target = Target::new(format, &[("default", &table)], database, "").await;
        let before = target.ask("default", "age").await;
        assert_eq!((before["sum"].as_f64(), &before["count"]), (Some(762.0), &json!(12)));
        table.push("New", &[99.0]);
        target.write("default", &table);
        let after = target.ask("default", "age").await;
        assert_eq!((after["sum"].as_f64(), &after["count"]), (Some(762.0), &json!(12)), "{format} {database}");
        assert!(after["answered_at"].is_string(), "it says of when it is: {after}");
        // What is added would change nothing about the question, and is refused.
        let (status, log, _) =
            target.ask_with("default", json!({"column_name": "age", "column": "age", "sort": true})).await;
        assert!(status == Status::Crashed && log.contains("no argument \"column\""), "{log}");
        for number in 0..4 {
            table.push(&format!("Later {number}"), &[62.0]);
        }
        target.write("default", &table);
        let later = target.ask("default", "age").await;
        assert_eq!((&later["count"], later["answered_at"].is_null()), (&json!(17), true), "{format} {database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_in_the_place_of_another_is_seen_where_people_are_named() {
    for format in FORMATS {
        let mut table = Table::of("age", &AGES);
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        target.ask("default", "age").await;
        table.remove(3);
        table.push("New", &[99.0]);
        target.write("default", &table);
        assert_eq!(target.ask("default", "age").await["sum"].as_f64(), Some(762.0));
        // Another visit of somebody who is there.
        table.push("P5", &[66.0]);
        target.write("default", &table);
        assert_eq!(target.ask("default", "age").await["sum"].as_f64(), Some(762.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_databases_that_differ_by_one_person_are_not_both_answered() {
    for format in FORMATS {
        let all = Table::of("age", &AGES);
        let mut most = all.clone();
        most.remove(0);
        let target = Target::new(format, &[("all", &all), ("most", &most)], WITH_PERSON, "").await;
        assert_eq!(target.ask("all", "age").await["count"], 12);
        let result = target.ask("most", "age").await;
        assert!(suppressed(&result).contains("differ by too few"), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_name_columns_and_databases_only_where_they_are_shared() {
    for format in FORMATS {
        let table = Table::of("hiv_status", &AGES);
        for (more, told) in [("", true), ("share_config: false\n", false)] {
            let target = Target::new(format, &[("oncology", &table)], "", more).await;
            let (_, log, _) = target.ask_with("oncology", json!({"column_name": "age"})).await;
            assert_eq!((log.contains("no column \"age\""), log.contains("hiv_status")), (true, told), "{log}");
            let (_, log, _) = target.ask_with("nowhere", json!({"column_name": "age"})).await;
            assert_eq!((log.contains("no database \"nowhere\""), log.contains("oncology")), (true, told), "{log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_result_is_held_the_server_does_not_learn_that_the_run_failed_nor_that_the_data_changed() {
    for format in FORMATS {
        let mut table = Table::of("age", &AGES);
        let target = Target::new(format, &[("default", &table)], "", "policies: {release: review}\n").await;
        let mut logs: Vec<Vec<String>> = Vec::new();
        for column in ["age", "nothing"] {
            let spec = super::average("partial_average", &[2], json!({"column_name": column}));
            let task = target.researcher.create_task(&spec).await.unwrap();
            let mut log = String::new();
            super::support::eventually(async || {
                let run = target.researcher.runs(task.id).await.unwrap().remove(0);
                log = run.log;
                log.contains("Awaiting release") && run.status == Status::Active
            })
            .await;
            let lines: Vec<String> =
                log.lines().map(|line| line.split_once(' ').unwrap().1.split_once(' ').unwrap().1.to_owned()).collect();
            // The same lines, whatever became of it.
            logs.push(lines[..lines.len() - 1].to_vec());
            table.push("New", &[62.0]);
            target.write("default", &table);
        }
        assert_eq!(logs[0], logs[1]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whether_something_is_suppressed_does_not_tell_of_one_person_either() {
    for format in FORMATS {
        // Four smokers of forty; one more would make five.
        let values: Vec<f64> = (0..40).map(|row| f64::from(row < 4)).collect();
        let mut table = Table::of("smoker", &values);
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        suppressed(&target.ask("default", "smoker").await);
        table.push("New", &[1.0]);
        target.write("default", &table);
        suppressed(&target.ask("default", "smoker").await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_under_another_label_is_the_same_data() {
    for format in FORMATS {
        let mut table = Table::of("age", &AGES);
        let target = Target::new(format, &[("default", &table), ("other", &table)], "", "").await;
        let folder = target.world.node_folder("example_org1");
        let link = folder.join(format!("other.{format}"));
        std::fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(folder.join(format!("default.{format}")), &link).unwrap();
        assert_eq!(target.ask("default", "age").await["count"], 12);
        table.push("New", &[99.0]);
        target.write("default", &table);
        let other = target.ask("other", "age").await;
        assert_ne!(other["count"], 13, "{other}");
    }
}

/// The same table whose people have other names.
fn renamed(table: &Table, name: impl Fn(usize, &str) -> String) -> Table {
    let patients = table.patients.iter().enumerate().map(|(row, patient)| name(row, patient)).collect();
    Table { patients, ..table.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_data_at_another_path_are_the_same_data() {
    for (format, database) in FORMATS.into_iter().flat_map(|format| [(format, ""), (format, WITH_PERSON)]) {
        let mut table = Table::of("age", &AGES);
        let target = Target::new(format, &[("default", &table)], database, "").await;
        // As an export is exchanged at once: a link to the file of the day.
        let folder = target.world.node_folder("example_org1");
        let file = folder.join(format!("default.{format}"));
        std::fs::rename(&file, folder.join("monday")).unwrap();
        std::os::unix::fs::symlink(folder.join("monday"), &file).unwrap();
        assert_eq!(target.ask("default", "age").await["count"], 12);
        table.push("New", &[99.0]);
        table.write(&folder.join(format!("tuesday.{format}")));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink(folder.join(format!("tuesday.{format}")), &file).unwrap();
        assert_eq!(target.ask("default", "age").await["sum"].as_f64(), Some(762.0), "{format} {database}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blanks_around_the_name_of_a_column_make_no_other_question() {
    for (format, database) in FORMATS.into_iter().flat_map(|format| [(format, ""), (format, WITH_PERSON)]) {
        let mut table = Table::of("age", &AGES);
        let target = Target::new(format, &[("default", &table)], database, "").await;
        let before = target.ask("default", "age").await;
        // One value is corrected: the answer of before stands.
        table.columns[0].1[3] = 99.0;
        target.write("default", &table);
        for name in ["age", "age ", " age", "\tage", "age\u{2003}", "\u{a0}age\n"] {
            assert_eq!(target.ask("default", name).await["sum"], before["sum"], "{format} {database} {name:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_names_for_the_same_people_are_not_new_people() {
    for format in FORMATS {
        let table = Table::of("age", &[AGES, AGES].concat());
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        let before = target.ask("default", "age").await;
        assert_eq!(before["count"], 24);
        // An export makes other pseudonyms, and one patient was admitted.
        let mut other = renamed(&table, |row, _| format!("pseudonym {row}"));
        other.push("pseudonym of the new one", &[99.0]);
        target.write("default", &other);
        assert_eq!(target.ask("default", "age").await["sum"], before["sum"], "{format}");
    }
    // Numbers as text and as numbers, and letters of either case, are the same people.
    for (one, other) in [(["007", "7"], "csv"), (["p7", "P7"], "parquet")].map(|(names, format)| {
        let named = |name: &str| {
            let name = name.to_owned();
            renamed(&Table::of("age", &AGES), move |row, _| name.replace('7', &format!("7{row}")))
        };
        ((named(names[0]), format), named(names[1]))
    }) {
        let ((first, format), mut second) = (one, other);
        second.push("9999", &[99.0]);
        let target = Target::new(format, &[("first", &first), ("second", &second)], WITH_PERSON, "").await;
        assert_eq!(target.ask("first", "age").await["count"], 12);
        assert!(suppressed(&target.ask("second", "age").await).contains("smallest_subset"), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_databases_that_do_not_say_who_their_rows_are_about_nobody_knows_whether_they_are_the_same() {
    for format in FORMATS {
        let all = Table::of("age", &AGES);
        let mut most = all.clone();
        most.push("New", &[99.0]);
        let many = Table::of("age", &[AGES, AGES].concat());
        let target = Target::new(format, &[("all", &all), ("most", &most), ("many", &many)], "", "").await;
        assert_eq!(target.ask("all", "age").await["count"], 12);
        assert!(suppressed(&target.ask("most", "age").await).contains("nobody knows"), "{format}");
        assert_eq!(target.ask("many", "age").await["count"], 24);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_one_person_causes_is_not_told_in_the_place_of_an_answer() {
    for format in FORMATS {
        // All values are different until somebody comes who shares one.
        let numbers: Vec<f64> = (0..40).map(|row| f64::from(700_000 + row * 13)).collect();
        let mut table = Table::of("number", &numbers);
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        let (status, log, _) = target.ask_with("default", json!({"column_name": "number"})).await;
        assert!(status == Status::Crashed && log.contains("identifies people"), "{log}");
        table.push("New", &[700_000.0]);
        target.write("default", &table);
        let (status, log, _) = target.ask_with("default", json!({"column_name": "number"})).await;
        assert!(status == Status::Crashed && log.contains("identifies people"), "{format}: {log}");
    }
    // Somebody whose age is a text: as before they came.
    let table = Table::of("age", &AGES);
    let target = Target::new("csv", &[("default", &table)], WITH_PERSON, "").await;
    assert_eq!(target.ask("default", "age").await["count"], 12);
    let file = target.world.node_folder("example_org1").join("default.csv");
    let text = std::fs::read_to_string(&file).unwrap() + "New,refused to say\n";
    std::fs::write(&file, text).unwrap();
    let answer = target.ask("default", "age").await;
    assert!(answer["count"] == 12 && answer["answered_at"].is_string(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_is_not_told_to_who_guesses() {
    let policies = "share_config: false\npolicies:\n  allowed_databases:\n    - {database: default, columns: [age]}\n    \
                    - {database: hiv, users: [somebody]}\n";
    let table = Table::of("age", &AGES);
    let target = Target::new("csv", &[("default", &table), ("hiv", &table)], "", policies).await;
    let (_, log, _) = target.ask_with("default", json!({"column_name": "zzz"})).await;
    assert!(log.contains("does not allow the column \"zzz\"") && !log.contains("age"), "{log}");
    let mut texts = Vec::new();
    for label in ["hiv", "abc"] {
        let (status, log, _) = target.ask_with(label, json!({"column_name": "age"})).await;
        assert_eq!(status, Status::NotAllowed, "{log}");
        let line = log.lines().find(|line| line.contains("does not allow")).unwrap();
        texts.push(line.get(20..).unwrap().replace(label, "it"));
    }
    assert_eq!(texts[0], texts[1], "one that is there and one that is not");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_others_leave_is_told_neither_by_an_answer_nor_by_whether_there_is_one() {
    for format in FORMATS {
        for leaving in [4, 20] {
            let mut told = Vec::new();
            for value in [0.0, 1.0] {
                let mut table = Table::of("smoker", &(0..60).map(|row| f64::from(row < 8)).collect::<Vec<_>>());
                let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
                let first = target.ask("default", "smoker").await;
                (0..leaving).for_each(|_| table.remove(20));
                table.push("New", &[value]);
                target.write("default", &table);
                let later = target.ask("default", "smoker").await;
                assert_eq!((&later["sum"], &later["count"]), (&first["sum"], &first["count"]), "{format} {leaving}");
                told.push(first["sum"].clone());
            }
            assert_eq!(told[0], told[1]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_column_tells_nothing_of_who_came_after_the_first_one_was_asked_about() {
    for (format, database) in FORMATS.into_iter().flat_map(|format| [(format, ""), (format, WITH_PERSON)]) {
        let mut table = Table::of("age", &AGES);
        table.columns.push(("birth_year", AGES.iter().map(|age| 2026.0 - age).collect()));
        let target = Target::new(format, &[("default", &table)], database, "").await;
        assert_eq!(target.ask("default", "age").await["count"], 12);
        table.push("New", &[99.0, 1927.0]);
        target.write("default", &table);
        let years = target.ask("default", "birth_year").await;
        match database {
            "" => assert!(suppressed(&years).contains("smallest_subset"), "{years}"),
            _ => assert_eq!((&years["count"], years["sum"].as_f64()), (&json!(12), Some(12.0 * 2026.0 - 762.0))),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_says_whether_the_data_have_changed_since_a_question_was_asked() {
    for format in FORMATS {
        let mut table = forty();
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        target.ask("default", "age").await;
        let mut told = Vec::new();
        for change in ["none", "written again", "one value", "one person"] {
            match change {
                "one value" => table.columns[0].1[0] = 70.0,
                "one person" => table.push("New", &[99.0]),
                _ => {}
            }
            if change != "none" {
                target.write("default", &table);
            }
            let (_, log, result) = target.ask_with("default", json!({"column_name": "age"})).await;
            let lines: Vec<String> = log.lines().map(|line| line.get(20..).unwrap_or_default().to_owned()).collect();
            told.push((lines, result));
        }
        told.iter().for_each(|other| assert_eq!(*other, told[0]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_does_not_learn_from_reviews_whether_the_data_have_changed() {
    let table = forty();
    let target = Target::new("csv", &[("default", &table)], WITH_PERSON, "policies: {release: review}\n").await;
    for count in 1..=2 {
        let spec = super::average("partial_average", &[2], json!({"column_name": "age"}));
        target.researcher.create_task(&spec).await.unwrap();
        let root = target.world.token("root").await;
        super::support::eventually(async || {
            let (_, reviews) = target.world.get("review", &root).await;
            reviews["data"].as_array().is_some_and(|reviews| reviews.len() == count)
        })
        .await;
    }
    let root = target.world.token("root").await;
    let (_, reviews) = target.world.get("review", &root).await;
    let reviews = reviews["data"].as_array().unwrap();
    assert_ne!(reviews[0]["hash"], reviews[1]["hash"]);
    for review in reviews {
        assert!(review["request"]["asked"].is_object() && review["request"]["data"].is_null(), "{review}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_person_or_value_that_is_nearly_all_of_a_sum_is_not_told_however_many_there_are() {
    for format in FORMATS {
        let mut bills = Table::of("cost", &[12.0; 200]);
        (0..100).for_each(|row| bills.columns[0].1[row] = 14.0);
        let mut visits = bills.clone();
        bills.columns[0].1[50] = 100_000.0;
        // Half of them come twice.
        (0..100).for_each(|person| visits.push(&format!("P{person}"), &[13.0]));
        (0..40).for_each(|_| visits.push("P7", &[5_000.0]));
        for (database, table) in [("", &bills), (WITH_PERSON, &bills), (WITH_PERSON, &visits)] {
            let target = Target::new(format, &[("default", table)], database, "").await;
            let result = target.ask("default", "cost").await;
            assert!(suppressed(&result).contains("0.85 of the sum"), "{format} {database}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_third_value_does_not_make_a_count_of_few() {
    for format in FORMATS {
        // One is unknown, which somebody wrote as 9.
        let mut table = Table::of("smoker", &[0.0; 40]);
        table.columns[0].1[..3].copy_from_slice(&[1.0, 9.0, 1.0]);
        for database in ["", WITH_PERSON] {
            let target = Target::new(format, &[("default", &table)], database, "").await;
            let result = target.ask("default", "smoker").await;
            assert!(suppressed(&result).contains("fewer than 5"), "{format} {database}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_person_is_missing_is_nobody() {
    for format in FORMATS {
        for missing in ["NA", "null", " n/a "] {
            let mut table = forty();
            table.push(missing, &[61.0]);
            let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
            let result = target.ask("default", "age").await;
            assert!(suppressed(&result).contains("do not say who"), "{format} {missing:?}: {result}");
        }
    }
}

/// Forty people with one row each.
fn forty() -> Table {
    Table::of("age", &[AGES, AGES, AGES, AGES].concat()[..40])
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_are_counted_again_are_not_people_who_came() {
    for format in FORMATS {
        let mut table = forty();
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        let first = target.ask("default", "age").await;
        assert_eq!(first["count"], 40);
        for (week, newcomer) in [(1, false), (2, true)] {
            for person in 0..5 {
                table.push(&format!("P{person}"), &[50.0 + f64::from(week)]);
            }
            if newcomer {
                table.push("New", &[99.0]);
            }
            target.write("default", &table);
            assert_eq!(target.ask("default", "age").await["sum"], first["sum"], "{format}, week {week}");
        }
        // Everything twice, and one of them left.
        let mut twice = forty();
        twice.remove(7);
        let more = twice.clone();
        for (row, patient) in more.patients.iter().enumerate() {
            twice.push(patient, &[more.columns[0].1[row]]);
        }
        target.write("default", &twice);
        assert_eq!(target.ask("default", "age").await["sum"], first["sum"], "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn some_names_that_are_written_otherwise_hide_nobody_who_came() {
    for format in FORMATS {
        let table = renamed(&forty(), |row, _| format!("P-{row:03}"));
        let target = Target::new(format, &[("default", &table)], WITH_PERSON, "").await;
        let first = target.ask("default", "age").await;
        for (what, spelled) in [
            ("zeros", renamed(&table, |row, _| format!("P-{row}"))),
            (
                "a hospital that was merged",
                renamed(&table, |row, name| if row < 19 { format!("B{name}") } else { name.to_owned() }),
            ),
            ("three", renamed(&table, |row, name| if row < 3 { format!("x{row}") } else { name.to_owned() })),
        ] {
            let mut later = spelled;
            later.push("New", &[99.0]);
            target.write("default", &later);
            assert_eq!(target.ask("default", "age").await["sum"], first["sum"], "{format}: {what}");
        }
        // Others in the place of some are seen where there are enough more of them.
        let mut others = table.clone();
        (0..5).for_each(|_| others.remove(0));
        for number in 0..10 {
            others.push(&format!("New {number}"), &[80.0 + f64::from(number)]);
        }
        target.write("default", &others);
        let later = target.ask("default", "age").await;
        assert!(later["answered_at"].is_null() && later["sum"] != first["sum"], "{format}: {later}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_of_a_second_database_does_not_hang_on_one_of_its_people() {
    let values = |ones: i32| Table::of("smoker", &(0..40).map(|row| f64::from(row < ones)).collect::<Vec<_>>());
    let numbers = Table::of("smoker", &(0..40).map(|row| f64::from(700_000 + row * 13)).collect::<Vec<_>>());
    let few = Table::of("smoker", &AGES[..9]);
    let nobody = Table::of("smoker", &[f64::NAN; 40]);
    for format in FORMATS {
        for (what, first, values) in [
            ("four who smoke", values(4), [0.0, 1.0]),
            ("five who smoke", values(5), [0.0, 1.0]),
            ("numbers that are all different", numbers.clone(), [700_000.0, 600_000.0]),
            ("too few", few.clone(), [1.0, 1e9]),
            ("no value", nobody.clone(), [f64::NAN, 1.0]),
        ] {
            let seconds = values.map(|value| {
                let mut second = first.clone();
                second.push("New", &[value]);
                second
            });
            let tables = [("first", &first), ("one", &seconds[0]), ("other", &seconds[1])];
            let target = Target::new(format, &tables, WITH_PERSON, "").await;
            target.ask_with("first", json!({"column_name": "smoker"})).await;
            let mut told = Vec::new();
            for label in ["one", "other"] {
                let (status, log, result) = target.ask_with(label, json!({"column_name": "smoker"})).await;
                let lines = log.lines().map(|line| line.get(20..).unwrap_or_default().replace(label, "it"));
                told.push((status, lines.collect::<Vec<_>>(), result));
            }
            assert_eq!(told[0], told[1], "{format}: {what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_is_written_otherwise_is_the_same_column() {
    for format in FORMATS {
        let named = |name: &'static str| Table { columns: vec![(name, forty().columns[0].1.clone())], ..forty() };
        let target = Target::new(format, &[("default", &named("älter"))], WITH_PERSON, "").await;
        let first = target.ask("default", "älter").await;
        assert_eq!(first["count"], 40);
        for name in ["ÄLTER", "A\u{308}lter", "älter\u{a0}", "äl_ter"] {
            let mut table = named(name);
            table.push("New", &[99.0]);
            target.write("default", &table);
            let told = target.ask("default", name).await;
            assert_eq!((&told["sum"], &told["count"]), (&first["sum"], &first["count"]), "{format} {name:?}");
        }
        let decomposed = named("gro\u{308}ße");
        let target = Target::new(format, &[("default", &decomposed)], ", identifiers: [größe]", "").await;
        let (status, log, _) = target.ask_with("default", json!({"column_name": "gro\u{308}ße"})).await;
        assert!(status == Status::Crashed && log.contains("identifies people"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_among_numbers_is_compared_like_an_answer() {
    let mut table = forty();
    let target =
        Target::new("csv", &[("default", &table), ("with", &table), ("without", &table)], WITH_PERSON, "").await;
    let folder = target.world.node_folder("example_org1");
    let add_text = |label: &str| {
        let file = folder.join(format!("{label}.csv"));
        let text = std::fs::read_to_string(&file).unwrap() + "New,refused to say\n";
        std::fs::write(&file, text).unwrap();
    };
    // First the text, which is a number the next day.
    add_text("default");
    let (status, log, _) = target.ask_with("default", json!({"column_name": "age"})).await;
    assert!(status == Status::Crashed && log.contains("it holds text"), "{log}");
    table.push("New", &[99.0]);
    target.write("default", &table);
    let (status, log, _) = target.ask_with("default", json!({"column_name": "age"})).await;
    assert!(status == Status::Crashed && log.contains("it holds text"), "{log}");
    // In another database, with and without it.
    add_text("with");
    let mut told = Vec::new();
    for label in ["with", "without"] {
        let (status, log, result) = target.ask_with(label, json!({"column_name": "age"})).await;
        let lines = log.lines().map(|line| line.get(20..).unwrap_or_default().replace(label, "it"));
        told.push((status, lines.collect::<Vec<_>>(), result));
    }
    assert_eq!(told[0], told[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_each_person_has_for_themselves_are_identifiers_however_often_they_come() {
    for format in FORMATS {
        let mut visits = Table::of("insurance", &(0..40).map(|row| f64::from(700_000 + row * 13)).collect::<Vec<_>>());
        for (row, patient) in visits.clone().patients.iter().enumerate() {
            visits.push(patient, &[f64::from(700_000 + row as i32 * 13)]);
        }
        // So long that floats do not tell them apart.
        let long = Table::of("insurance", &[1.1e19; 60]);
        let target = Target::new(format, &[("visits", &visits), ("long", &long)], WITH_PERSON, "").await;
        for label in ["visits", "long"] {
            let (status, log, result) = target.ask_with(label, json!({"column_name": "insurance"})).await;
            // CSV holds them as whole numbers, so their sum is exact.
            if (format, label) == ("csv", "long") {
                assert_eq!(result["sum"].to_string(), "660000000000000000000", "{log}");
                continue;
            }
            assert!(status == Status::Crashed && log.contains("identifies people"), "{format} {label}: {log}");
        }
    }
}
