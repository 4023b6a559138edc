//! Memory stays flat on a long file. A test binary of its own, since it is the process that is measured.
#![cfg(target_os = "linux")]

mod support;

use std::{
    fs,
    io::{BufWriter, Write},
};

use serde_json::json;
use support::{World, average, outcome};

const ROWS: u64 = 2_000_000;
/// What the process may grow by, in bytes: the file is more than twice as large.
const GROWTH: u64 = 16 * 1024 * 1024;

/// The most memory that this process ever had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn the_average_of_a_long_file_takes_no_more_memory_than_that_of_a_short_one() {
    let world = World::new().await;
    let _node = world.start_node("example_org1").await;
    world.wait_for_node(2, true).await;
    let client = world.client("researcher").await;
    let spec = average("partial_average", &[2], json!({"column_name": "age"}));
    let run = async || {
        let task = client.create_task(&spec).await.unwrap();
        outcome(&client, task.id).await
    };
    let (_, _, values) = run().await;
    assert_eq!(values, [json!({"sum": 253, "count": 4})]);
    let file = world.node_folder("example_org1").join("default.csv");
    let mut writer = BufWriter::new(fs::File::create(&file).unwrap());
    writeln!(writer, "patient,age,remark").unwrap();
    for row in 0..ROWS {
        writeln!(writer, "{row:07},{},nothing of note", row % 100).unwrap();
    }
    writer.into_inner().unwrap().sync_all().unwrap();
    assert!(fs::metadata(&file).unwrap().len() > 2 * GROWTH);
    let before = peak();
    let (_, logs, values) = run().await;
    assert_eq!(values, [json!({"sum": ROWS / 100 * 4950, "count": ROWS})], "{logs:?}");
    let growth = peak() - before;
    assert!(growth < GROWTH, "{growth} bytes for {ROWS} rows");
}
