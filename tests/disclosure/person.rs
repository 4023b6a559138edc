//! Attacks on one person whose rows, identifier or arrival look like something else.

use serde_json::Value;

use crate::{FORMATS, Table, Target, suppressed};

const PERSON: &str = ", person: patient";

/// So many people, with an age and what is computed of it.
fn people(count: usize) -> Table {
    let ages: Vec<f64> = (0..count).map(|person| 40.0 + (person * 7 % 31) as f64).collect();
    let twice = ages.iter().map(|age| 2.0 * age + 0.5).collect();
    Table { columns: vec![("age", ages.clone()), ("twice", twice)], ..Table::of("age", &ages) }
}

/// The age that somebody has whose double is in one answer only, as far as the answers tell.
fn told_of_one(ages: &Value, twice: &Value) -> Option<f64> {
    let number = |answer: &Value, key: &str| answer[key].as_f64();
    let rest = number(twice, "sum")? - 0.5 * number(twice, "count")? - 2.0 * number(ages, "sum")?;
    Some(rest / 2.0).filter(|_| twice["count"] != ages["count"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_up_for_one_another_does_not_leave_one_person_alone() {
    let rows = |of_each: &[f64], of_one: &[f64]| {
        let mut table = Table::of("x", &[]);
        for person in 0..40 {
            of_each.iter().for_each(|value| table.push(&format!("P{person}"), &[*value]));
        }
        of_one.iter().for_each(|value| table.push("P40", &[*value]));
        table
    };
    let mut others = Table::of("x", &[]);
    for person in 0..20 {
        others.push(&format!("P{person}"), &[1_500.0]);
        others.push(&format!("Q{person}"), &[-1_500.0]);
    }
    others.push("R", &[4_711.5]);
    let thirds = rows(&[0.1 * 3.0], &[]);
    let mut thirds = Table { columns: vec![("x", thirds.columns[0].1.clone())], ..thirds };
    (0..20).for_each(|row| thirds.columns[0].1[row] = 0.3);
    thirds.push("P40", &[7.25]);
    for (what, table, reason) in [
        ("a bill and its cancellation", rows(&[250.5, -250.5], &[4_711.0]), "smallest_cell"),
        ("payments among others", others, "largest_value_share"),
        ("visits with an event", rows(&[1.0, 0.0], &[1.0, 1.0]), "smallest_cell"),
        ("several visits", rows(&[0.0, 0.0, 1.0], &[0.0, 1.0, 1.0]), "smallest_cell"),
        ("a fee and what is paid beside it", rows(&[100.0, 0.0], &[100.0, 4_711.0]), "smallest_cell"),
        ("a number as it is written and as it is computed", thirds, "smallest_cell"),
    ] {
        for format in FORMATS {
            let target = Target::new(format, &[("default", &table)], PERSON, "").await;
            let result = target.ask("default", "x").await;
            assert!(suppressed(&result).contains(reason), "{what}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_is_made_of_two_numbers_hides_nobody() {
    let named = |count: usize, name: &dyn Fn(usize) -> String| {
        let table = people(count);
        Table { patients: (0..count).map(name).collect(), ..table }
    };
    let by_site: &dyn Fn(usize) -> String = &|person| format!("{}.{}", 1 + person % 4, 1 + person / 4);
    let by_dash: &dyn Fn(usize) -> String = &|person| format!("{}-{}", 1 + person / 11, 1 + person % 11);
    for format in FORMATS {
        for (name, newcomer) in [(by_site, "3.10"), (by_dash, "11-1")] {
            let before = named(36, name);
            let target = Target::new(format, &[("default", &before)], PERSON, "").await;
            let ages = target.ask("default", "age").await;
            let mut after = before.clone();
            after.push(newcomer, &[77.0, 154.5]);
            target.write("default", &after);
            let twice = target.ask("default", "twice").await;
            assert_eq!(told_of_one(&ages, &twice), None, "{ages} {twice}");
            assert_eq!(twice["count"], 36, "the newcomer is left out");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_five_who_come_or_go_one_with_a_value_is_not_told() {
    for format in FORMATS {
        let before = people(40);
        let target = Target::new(format, &[("default", &before)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        for newcomer in 0..5 {
            let age = if newcomer == 0 { 66.0 } else { f64::NAN };
            after.push(&format!("N{newcomer}"), &[age, 2.0 * age + 0.5]);
        }
        target.write("default", &after);
        let twice = target.ask("default", "twice").await;
        assert_eq!((told_of_one(&ages, &twice), &twice["count"]), (None, &40.into()), "{ages} {twice}");

        // One of the five who leave had a value.
        let target = Target::new(format, &[("default", &after)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        target.write("default", &before);
        let twice = target.ask("default", "twice").await;
        assert!(suppressed(&twice).contains("smallest_subset"), "{ages} {twice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_visit_of_one_person_is_not_told() {
    for format in FORMATS {
        let before = people(40);
        let target = Target::new(format, &[("default", &before)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        after.push("P7", &[77.0, 154.5]);
        target.write("default", &after);
        let again = target.ask("default", "age").await;
        assert_eq!(again["sum"], ages["sum"]);
        let twice = target.ask("default", "twice").await;
        assert!(suppressed(&twice).contains("smallest_subset"), "{ages} {twice}");
        // Of five people who came again one learns nothing of one.
        (8..12).for_each(|person| after.push(&format!("P{person}"), &[50.0, 100.5]));
        target.write("default", &after);
        assert_eq!(target.ask("default", "twice").await["count"], 45);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_of_a_database_is_no_way_around() {
    for format in FORMATS {
        let before = people(40);
        let mut after = before.clone();
        after.push("N", &[22.0, 44.5]);
        let target = Target::new(format, &[("snapshot", &before), ("default", &after)], PERSON, "").await;
        let ages = target.ask("snapshot", "age").await;
        let twice = target.ask("default", "twice").await;
        assert_eq!((told_of_one(&ages, &twice), &twice["count"]), (None, &40.into()), "{ages} {twice}");
        let target = Target::new(format, &[("snapshot", &before), ("default", &after)], PERSON, "").await;
        let twice = target.ask("default", "twice").await;
        let ages = target.ask("snapshot", "age").await;
        assert!(suppressed(&ages).contains("smallest_subset"), "{ages} {twice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_configuration_does_not_make_the_question_a_new_one() {
    for format in FORMATS {
        let before = people(40);
        let mut target = Target::new(format, &[("default", &before)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        after.columns[0].1[7] -= 35.0;
        after.push("P9", &[77.0, 154.5]);
        target.write("default", &after);
        for more in ["policies: {allowed_identifiers: [other]}\n", "policies: {minimum_rows: 12}\n"] {
            target
                .start_anew(|text| {
                    let begin = text.find("policies:").unwrap_or(text.len());
                    text.truncate(begin);
                    text.push_str(more);
                })
                .await;
            let again = target.ask("default", "age").await;
            assert_eq!((&again["sum"], again["answered_at"].is_string()), (&ages["sum"], true), "{more}");
        }
        // What stronger limits do not allow is not told again.
        target.start_anew(|text| *text = text.replace("minimum_rows: 12", "minimum_rows: 60")).await;
        assert!(!suppressed(&target.ask("default", "age").await).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_name_people_later_tells_nothing_of_who_came_meanwhile() {
    for format in FORMATS {
        let mut before = people(40);
        // Half of them come twice.
        (0..20).for_each(|person| before.push(&format!("P{person}"), &[50.0, 100.5]));
        let mut target = Target::new(format, &[("default", &before)], "", "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        (0..6).for_each(|_| after.push("N", &[77.0, 154.5]));
        target.write("default", &after);
        target.start_anew(|text| *text = text.replace(&format!(".{format}}}"), &format!(".{format}{PERSON}}}"))).await;
        assert_eq!(target.ask("default", "age").await["sum"], ages["sum"]);
        assert!(suppressed(&target.ask("default", "twice").await).contains("smallest_subset"));
        // From now on people are known, and five of them make a new answer.
        (0..5).for_each(|person| after.push(&format!("M{person}"), &[50.0, 100.5]));
        target.write("default", &after);
        assert_eq!(target.ask("default", "age").await["count"], 71);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_enough_visits_one_with_a_value_is_not_told_by_whatever_name() {
    for format in FORMATS {
        let before = people(40);
        let target = Target::new(format, &[("default", &before)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        for person in 0..15 {
            let age = if person == 3 { 66.0 } else { f64::NAN };
            after.push(&format!("P{person}"), &[age, 2.0 * age + 0.5]);
        }
        target.write("default", &after);
        let twice = target.ask("default", "twice").await;
        assert!(suppressed(&twice).contains("smallest_subset"), "{ages} {twice}");
        // The same column, as the next export writes it.
        after.columns[0].0 = "Age";
        target.write("default", &after);
        let again = target.ask("default", "Age").await;
        assert!(suppressed(&again).contains("smallest_subset"), "{ages} {again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_who_come_one_with_a_value_is_not_told() {
    for format in FORMATS {
        let before = people(40);
        let target = Target::new(format, &[("default", &before)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        for newcomer in 0..300 {
            let age = if newcomer == 0 { 66.0 } else { f64::NAN };
            after.push(&format!("N{newcomer}"), &[age, 2.0 * age + 0.5]);
        }
        target.write("default", &after);
        let twice = target.ask("default", "twice").await;
        assert!(suppressed(&twice).contains("smallest_subset"), "{ages} {twice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_rounding_nor_other_numbers_of_visits_make_everybody_different() {
    let mut doses = Table::of("x", &[]);
    let mut visits = Table::of("x", &[]);
    for person in 0..40 {
        let name = format!("P{person}");
        // Ten milligrams in doses of a tenth, as programs add them up; one has more.
        let count = 1 + person % 5;
        (0..100).for_each(|_| doses.push(&name, &[0.1]));
        doses.push(&name, &[if person == 7 { 2.5 } else { 0.0 }]);
        // One event in each visit, and one visit with two.
        for visit in 0..count {
            visits.push(&name, &[1.0]);
            visits.push(&name, &[if person == 9 && visit == 0 { 1.0 } else { 0.0 }]);
        }
    }
    for format in FORMATS {
        for table in [&doses, &visits] {
            let target = Target::new(format, &[("default", table)], PERSON, "").await;
            let result = target.ask("default", "x").await;
            assert!(suppressed(&result).contains("smallest_cell"), "{result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_row_holds_shows_in_no_column() {
    for format in FORMATS {
        let mut table = people(40);
        table.push("NA", &[70.0, f64::NAN]);
        let target = Target::new(format, &[("default", &table)], PERSON, "").await;
        // A row about nobody: whatever it holds.
        for column in ["age", "twice"] {
            assert!(suppressed(&target.ask("default", column).await).contains("do not say who"), "{column}");
        }
    }
    // One text in a column that is empty otherwise.
    let target = Target::new("csv", &[("default", &people(40))], PERSON, "").await;
    let lines: String =
        (0..40).map(|person| format!("P{person},{}\n", if person == 7 { "positive" } else { "" })).collect();
    let path = target.world.node_folder("example_org1").join("default.csv");
    std::fs::write(path, format!("patient,note\n{lines}")).unwrap();
    assert!(suppressed(&target.ask("default", "note").await).contains("minimum_rows"));
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_whose_names_are_nearly_the_same_have_each_an_answer_of_their_own() {
    for format in FORMATS {
        let mut table = people(40);
        (table.columns[0].0, table.columns[1].0) = ("CD4+", "CD4-");
        let target = Target::new(format, &[("default", &table)], PERSON, "").await;
        let (one, other) = (target.ask("default", "CD4+").await, target.ask("default", "CD4-").await);
        assert_ne!(one["sum"], other["sum"]);
        assert_eq!((&one["count"], &other["count"]), (&40.into(), &40.into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_left_out_is_new_in_that_database_and_not_in_a_part_of_it() {
    for format in FORMATS {
        let (mut hospital, ward) = (people(80), people(40));
        let target = Target::new(format, &[("hospital", &hospital), ("ward", &ward)], PERSON, "").await;
        assert_eq!(target.ask("hospital", "age").await["count"], 80);
        assert_eq!(target.ask("ward", "age").await["count"], 40);
        hospital.push("N", &[50.0, 100.5]);
        target.write("hospital", &hospital);
        assert_eq!(target.ask("hospital", "twice").await["count"], 80);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_are_split_or_joined_hide_nobody_who_comes_or_goes() {
    for format in FORMATS {
        let mut before = people(40);
        for person in 0..40 {
            let (age, twice) = (before.columns[0].1[person], before.columns[1].1[person]);
            before.push(&format!("P{person}"), &[age, twice]);
        }
        let mut split = before.clone();
        (0..5).for_each(|person| split.patients[40 + person] = format!("S{person}"));
        split.push("N", &[77.0, 154.5]);
        let target = Target::new(format, &[("default", &before)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        target.write("default", &split);
        assert_eq!(target.ask("default", "age").await["sum"], ages["sum"]);
        // And the other way round.
        let target = Target::new(format, &[("default", &split)], PERSON, "").await;
        let ages = target.ask("default", "age").await;
        target.write("default", &before);
        assert_eq!(target.ask("default", "age").await["sum"], ages["sum"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_many_values_somebody_has_is_not_told_by_the_count_beside_a_sum() {
    let rows = |of_most: usize, of_one: usize| {
        let mut table = Table::of("x", &[]);
        for person in 0..40 {
            let visits = if person == 0 { of_one } else { of_most };
            (0..visits)
                .for_each(|visit| table.push(&format!("P{person}"), &[40.0 + (person * 7 + visit) as f64 / 8.0]));
        }
        table
    };
    // Of values that are near nothing nobody's sum is large.
    let mut many = rows(1, 0);
    (0..20).for_each(|person| many.push(&format!("P{}", person + 5), &[41.0 + f64::from(person)]));
    (0..1_000).for_each(|visit| many.push("P0", &[0.001 + f64::from(visit) / 1e6]));
    for (what, table, reason) in [
        ("one person has nearly all rows", many, "largest_value_share"),
        ("one person came twice", rows(1, 2), "smallest_cell"),
        ("one person came less often", rows(3, 2), "smallest_cell"),
    ] {
        for format in FORMATS {
            let target = Target::new(format, &[("default", &table)], PERSON, "").await;
            let result = target.ask("default", "x").await;
            assert!(suppressed(&result).contains(reason), "{what}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_rows_of_one_person_without_a_value_are_not_an_empty_column() {
    let mut table = Table { columns: vec![("age", Vec::new()), ("died", Vec::new())], ..Table::of("age", &[]) };
    (0..20).for_each(|row| table.push("anna", &[f64::from(row), f64::NAN]));
    for format in FORMATS {
        let target = Target::new(format, &[("default", &table)], PERSON, "").await;
        let result = target.ask("default", "died").await;
        assert!(suppressed(&result).contains("minimum_rows"), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_infinite_value_is_one_that_is_nearly_all_of_a_sum() {
    for person in [PERSON, ""] {
        let mut ages = people(40);
        ages.columns[0].1[7] = f64::INFINITY;
        // As a text in Parquet it would be no number.
        let target = Target::new(FORMATS[1], &[("default", &ages)], person, "").await;
        let result = target.ask("default", "age").await;
        assert!(suppressed(&result).contains("largest_value_share"), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rounding_leaves_is_no_third_value() {
    let mut differences = Table::of("x", &[]);
    for person in 0..60 {
        let difference = match person {
            3 => 2.125,
            17 => 3.375,
            40 => 2.75,
            even if even % 2 == 0 => 0.0,
            _ => 5.55e-17,
        };
        differences.push(&format!("P{person}"), &[difference]);
    }
    for format in FORMATS {
        let target = Target::new(format, &[("default", &differences)], PERSON, "").await;
        let result = target.ask("default", "x").await;
        assert!(suppressed(&result).contains("smallest_cell"), "{result}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_people_under_two_kinds_of_identifiers_may_be_the_same() {
    for format in FORMATS {
        let patients = people(40);
        let insured = |table: &Table| {
            let patients = table.patients.iter().map(|patient| format!("insurance {patient}9")).collect();
            Table { patients, ..table.clone() }
        };
        let databases = [("default", &patients), ("other", &insured(&patients))];
        let target = Target::new(format, &databases, PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let mut after = patients.clone();
        after.push("N", &[77.0, 154.5]);
        target.write("default", &after);
        target.write("other", &insured(&after));
        let twice = target.ask("other", "twice").await;
        assert_eq!(told_of_one(&ages, &twice), None, "{ages} {twice}");
        assert!(suppressed(&twice).contains("smallest_subset"), "{twice}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_coding_of_the_same_facts_tells_no_more() {
    // Each has one event at one of several visits, and one person has two.
    let events = |event: f64, none: f64| {
        let mut table = Table::of("x", &[]);
        for person in 0..60 {
            for visit in 0..2 + person % 5 {
                let is_event = visit == 0 || (person == 7 && visit == 1);
                table.push(&format!("P{person}"), &[if is_event { event } else { none }]);
            }
        }
        table
    };
    let deviating = |offset: f64| {
        let values: Vec<f64> = (0..60).map(|person| if person < 55 { 0.0 } else { 1.0 } + offset).collect();
        let mut table = Table::of("x", &values);
        table.columns[0].1[7] = 4_611.0 + offset;
        table
    };
    let mut bills = Table::of("x", &[]);
    for person in 0..60 {
        let amount = 2e9 + f64::from(person * 17);
        bills.push(&format!("P{person}"), &[amount]);
        bills.push(&format!("P{person}"), &[if person == 7 { 3.0 - amount } else { -amount }]);
    }
    let mut nine_digits = Table::of("x", &[1_234_567_890.25; 200]);
    nine_digits.columns[0].1[7] = 1_234_567_890.5;
    // Hardly more than half have the value, in two ways of writing.
    let mut two_ways = Table::of("x", &[100.3; 60]);
    (0..27).for_each(|row| two_ways.columns[0].1[row] = 100.30000000000001);
    (54..59).for_each(|row| two_ways.columns[0].1[row] = 101.3);
    two_ways.columns[0].1[59] = 4_711.3;
    let values: Vec<f64> = (0..60).map(|row| [100.0, 100.0, 105.0, 95.0][row % 4]).collect();
    let mut scattered = Table::of("x", &values);
    scattered.columns[0].1[7] = 4_711.0;
    for (what, table, person, reason) in [
        ("a value in two ways", two_ways, PERSON, "largest_value_share"),
        ("half of the values", scattered, PERSON, "largest_value_share"),
        ("0 and 1", events(1.0, 0.0), PERSON, "smallest_cell"),
        ("1 and 2", events(2.0, 1.0), PERSON, "smallest_cell"),
        ("2 and 1", events(1.0, 2.0), PERSON, "smallest_cell"),
        ("1 and 0", events(0.0, 1.0), PERSON, "smallest_cell"),
        ("differences", deviating(0.0), PERSON, "largest_value_share"),
        ("values beside 100", deviating(100.0), PERSON, "largest_value_share"),
        ("values beside 100 of nobody", deviating(100.0), "", "largest_value_share"),
        ("whole amounts that cancel", bills, PERSON, "smallest_cell"),
        ("a tenth digit", nine_digits.clone(), PERSON, "smallest_cell"),
        ("a tenth digit of nobody", nine_digits, "", "smallest_cell"),
    ] {
        for format in FORMATS {
            let target = Target::new(format, &[("default", &table)], person, "").await;
            let result = target.ask("default", "x").await;
            assert!(suppressed(&result).contains(reason), "{what}: {result}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn households_and_patients_of_the_same_rows_tell_nobody_who_comes() {
    for (format, of_one) in [(FORMATS[0], 1.03), (FORMATS[1], 1.03), (FORMATS[0], 2.5), (FORMATS[1], 2.5)] {
        let mut before = people(200);
        let numbers = (0..200).map(|person| (f64::from(person) / of_one).floor()).collect();
        before.columns.push(("household", numbers));
        let mut target = Target::new(format, &[("default", &before), ("other", &before)], PERSON, "").await;
        target
            .start_anew(|text| {
                let other = format!("other.{format}{PERSON}");
                *text = text.replace(&other, &format!("other.{format}, person: household"));
            })
            .await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        after.push("N", &[77.0, 154.5, 5_000.0]);
        target.write("default", &after);
        target.write("other", &after);
        for column in ["age", "twice"] {
            let other = target.ask("other", column).await;
            assert!(suppressed(&other).contains("smallest_subset"), "{of_one} {column}: {ages} {other}");
        }
        // And what is asked afterwards of the first one tells nothing of the other.
        assert_eq!(target.ask("default", "age").await["sum"], ages["sum"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_households_have_together_tells_nobody_who_moves_in() {
    for format in FORMATS {
        // 100 people in 31 households, with what each has, and what each household has together.
        let mut patients = people(100);
        let households = |patients: &Table| {
            let twice = &patients.columns[1].1;
            let mut together = Table::of("twice", &[]);
            for household in 0..31 {
                let of_it =
                    twice.iter().enumerate().filter(|(place, _)| place % 31 == household).map(|(_, twice)| twice);
                together.push(&format!("H{household}"), &[of_it.sum()]);
            }
            together
        };
        let mut target =
            Target::new(format, &[("default", &patients), ("other", &households(&patients))], PERSON, "").await;
        let apart = target.ask("default", "twice").await;
        patients.push("N", &[77.0, 154.5]);
        target.write("default", &patients);
        target.write("other", &households(&patients));
        let together = target.ask("other", "twice").await;
        assert!(suppressed(&together).contains("smallest_subset"), "{apart} {together}");
        // Who answers for the data can say that they are others.
        target
            .start_anew(|text| {
                let other = format!("other.{format}{PERSON}");
                *text = text.replace(&other, &format!("{other}, other_people_than: [default]"));
            })
            .await;
        assert!(target.ask("other", "twice").await["sum"].is_number());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_exact_in_a_sum_is_exact_where_it_is_checked() {
    // Bills that were cancelled, but for one person; and events of whom one person has two, coded as times or long numbers.
    let mut bills = Table::of("x", &[]);
    for person in 0..40 {
        let amount = f64::from(person + 10) * 1e10 + 0.25;
        bills.push(&format!("P{person}"), &[amount]);
        bills.push(&format!("P{person}"), &[if person == 7 { 47.5 - amount } else { -amount }]);
    }
    let events = |none: f64, one: f64| {
        let mut events = Table::of("x", &[]);
        for person in 0..40 {
            events.push(&format!("P{person}"), &[one]);
            events.push(&format!("P{person}"), &[if person == 7 { one } else { none }]);
        }
        events
    };
    // Percentages of each person come to 100, but for one.
    let mut percentages = Table::of("x", &[]);
    for person in 0..60 {
        for part in 0..5 {
            let rest = f64::from(part * part) / 7.0 + f64::from(person) / 1_000.0;
            let all = if person == 7 { 60.2 } else { 100.0 };
            let value = if part == 4 { all - 30.0 / 7.0 - 14.0 / 7.0 } else { rest };
            percentages.push(&format!("P{person}"), &[value]);
        }
    }
    // One value more of somebody, beside a large offset and with other numbers of values for everybody.
    let visits = |offset: f64, more: usize| {
        let mut visits = Table::of("x", &[]);
        for person in 0..60 {
            for visit in 0..2 + 2 * (person % 6) {
                visits.push(&format!("P{person}"), &[offset + if visit % 2 == 0 { 2.0 } else { 4.0 }]);
            }
            if person < more {
                visits.push(&format!("P{person}"), &[offset + 4.0]);
            }
        }
        visits
    };
    let mut left = Table::of("x", &[]);
    for person in 0..60 {
        let amount = f64::from(person % 9 + 1) * 1e15;
        left.push(&format!("P{person}"), &[amount]);
        left.push(&format!("P{person}"), &[if person == 7 { 4.5 - amount } else { -amount }]);
    }
    // Nearly all of what lies above an offset is one person's, who has many values; and nearly all values are one person's.
    let mut above = Table::of("x", &[]);
    for person in 0..100 {
        for visit in 0..1 + person % 3 {
            above.push(&format!("P{person}"), &[70_000.0 + f64::from((person * 7 + visit) % 5) / 2.0 - 1.0 + 0.25]);
        }
    }
    (0..90).for_each(|visit| above.push("T", &[70_020.0 + f64::from(visit % 20) + 0.5]));
    let mut often = Table::of("x", &[]);
    for person in 0..100 {
        let visits = if person < 94 { 12 } else { 11 };
        (0..visits)
            .for_each(|visit| often.push(&format!("P{person}"), &[60.0 + f64::from((person + visit) % 30) + 0.5]));
    }
    (0..200).for_each(|visit| often.push("T", &[60.0 + f64::from(visit % 30) + 0.5]));
    let tables = [
        bills,
        visits(1e16, 1),
        visits(1e16, 3),
        visits(1.7e15, 3),
        left,
        above,
        often,
        events(1_700_000_000.5, 1_700_000_001.5),
        events(1e12 + 0.5, 1e12 + 1.5),
        events((1_u64 << 54) as f64, ((1_u64 << 54) + 4) as f64),
        percentages,
    ];
    for format in FORMATS {
        for (number, table) in tables.iter().enumerate() {
            let target = Target::new(format, &[("default", table)], PERSON, "").await;
            let told = target.ask("default", "x").await;
            assert!(!told["sum"].is_number(), "{format} {number}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_rounding_leaves_hides_no_few_people() {
    // Everybody has one event among some rows, and a few have two: written with decimals, which are never quite exact.
    let events = |offset: f64, step: f64, few: usize, varies: bool| {
        let mut events = Table::of("x", &[]);
        for row in 0..14 {
            for person in 0..60 {
                let rows = if varies { 8 + (person * 5) % 7 } else { 12 };
                let has_event = row == person % 7 || row == 7 && person < few;
                if row < rows {
                    events.push(&format!("P{person}"), &[if has_event { offset + step } else { offset }]);
                }
            }
        }
        events
    };
    // What the two rows of everybody come to, but for a few who have a little more.
    let pairs = |all: f64, more: f64, few: usize| {
        let mut pairs = Table::of("x", &[]);
        for person in 0..60 {
            let one = f64::from((person * 7919) % 1_000) * all / 71.0;
            pairs.push(&format!("P{person}"), &[one]);
            pairs.push(&format!("P{person}"), &[all - one + if (person as usize) < few { more } else { 0.0 }]);
        }
        pairs
    };
    let offsets = [(1_700_000_000.10, 0.10), (50_000_000.10, 0.10), (100_000.000_1, 0.000_1), (0.3, 0.1)];
    let mut tables: Vec<Table> = Vec::new();
    for (offset, step) in offsets {
        tables.extend([1, 4].map(|few| events(offset, step, few, true)));
        tables.push(events(offset, step, 3, false));
    }
    tables.extend([1, 2, 4].map(|few| pairs(1_000_000_000.0, 0.01, few)));
    tables.extend([pairs(999_999_999.99, 0.01, 3), pairs(1_000_000.0, 0.000_1, 3), pairs(100.0, 3.0, 4)]);
    let enough = [events(1_700_000_000.10, 0.10, 30, true), events(0.3, 0.1, 30, false)];
    for format in FORMATS {
        for (number, table) in tables.iter().chain(&enough).enumerate() {
            let target = Target::new(format, &[("default", table)], PERSON, "").await;
            let told = target.ask("default", "x").await;
            assert_eq!(told["sum"].is_number(), number >= tables.len(), "{format} {number}: {told}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_larger_cell_tells_nothing_that_a_smaller_one_does_not() {
    let of = |person: u32, event: f64| event + f64::from(person * 7 % 11) * 1e-7;
    let events: Vec<f64> = (0..17).map(|person| of(person, if person < 2 { 1.0 } else { 0.0 })).collect();
    let events = Table::of("x", &events);
    for format in FORMATS {
        for cell in [5, 9, 10, 16, 20] {
            for person in ["", PERSON] {
                let policies = format!("policies: {{smallest_cell: {cell}}}\n");
                let target = Target::new(format, &[("default", &events)], person, &policies).await;
                let result = target.ask("default", "x").await;
                assert!(suppressed(&result).contains("smallest_cell"), "{format} {cell} {person}: {result}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bills_that_others_cancel_leave_no_few_people() {
    let with = |left: &[f64]| {
        let bills = (0..30).map(|number| f64::from(number * 100_000 / 29 + 10_000) / 100.0);
        Table::of("x", &bills.flat_map(|bill| [bill, -bill]).chain(left.iter().copied()).collect::<Vec<_>>())
    };
    for format in FORMATS {
        for person in ["", PERSON] {
            for left in [&[4_711.5, 4_711.5][..], &[4_711.5, 3_333.25, 0.0], &[-2_000.0, 3_000.0, 5_000.0, 1_500.25]] {
                let target = Target::new(format, &[("default", &with(left))], person, "").await;
                let result = target.ask("default", "x").await;
                assert!(result["sum"]["suppressed"].is_string(), "{format} {person} {left:?}: {result}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_around_a_middle_are_told_though_they_make_up_for_one_another() {
    // As changes of a score are: the sum of all but the largest comes near nothing now and then, by chance.
    let mut number: u64 = 11;
    let mut next = || {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (number >> 11) as f64 / (1_u64 << 53) as f64
    };
    let names: Vec<&'static str> = vec!["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"];
    let mut scores = Table::of("none", &[]);
    scores.columns = names.iter().map(|name| (*name, Vec::new())).collect();
    for person in 0..100 {
        let row: Vec<f64> = names.iter().map(|_| ((0..6).map(|_| next()).sum::<f64>() - 3.0) * 10.0).collect();
        scores.push(&format!("P{person}"), &row);
    }
    for person in ["", PERSON] {
        let target = Target::new("csv", &[("default", &scores)], person, "").await;
        for name in &names {
            assert!(target.ask("default", name).await["sum"].is_number(), "{name} {person}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_before_people_were_named_are_still_compared() {
    for format in FORMATS {
        let before = people(100);
        let mut target = Target::new(format, &[("default", &before)], "", "").await;
        let ages = target.ask("default", "age").await;
        let mut after = before.clone();
        (0..4).for_each(|number| after.push(&format!("N{number}"), &[50.0, 100.5]));
        target.write("default", &after);
        target.start_anew(|text| *text = text.replace(&format!(".{format}}}"), &format!(".{format}{PERSON}}}"))).await;
        assert_eq!(target.ask("default", "age").await["sum"], ages["sum"]);
        // The four leave, and one of those who were there at first.
        let mut gone = before.clone();
        gone.remove(99);
        target.write("default", &gone);
        let again = target.ask("default", "age").await;
        assert_eq!((&again["sum"], &again["count"]), (&ages["sum"], &ages["count"]), "{again}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identifier_that_two_databases_have_by_chance_makes_no_other_people_of_them() {
    for format in FORMATS {
        let first = people(60);
        let numbers = |table: &Table, from: usize| {
            let patients = (0..table.patients.len()).map(|number| (from + number).to_string()).collect();
            Table { patients, ..table.clone() }
        };
        let mut second = people(60);
        second.push("N", &[77.0, 154.5]);
        let databases = [("default", &numbers(&first, 1)), ("other", &numbers(&second, 60))];
        let target = Target::new(format, &databases, PERSON, "").await;
        let ages = target.ask("default", "age").await;
        let twice = target.ask("other", "twice").await;
        assert_eq!(told_of_one(&ages, &twice), None, "{ages} {twice}");
        assert!(suppressed(&twice).contains("smallest_subset"), "{twice}");
    }
}
