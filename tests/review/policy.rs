//! What the policies of a node refuse and suppress.

use atoll::protocol::status::Status;
use serde_json::json;

use crate::support::{AVERAGE, World, average, outcome};
use crate::{ALWAYS, ages, node, once, waiting};

#[tokio::test(flavor = "multi_thread")]
async fn no_database_comes_along_beside_one_that_is_allowed_and_the_purpose_does() {
    let world = World::new().await;
    let only = "policies:\n  review: always\n  allowed_databases:\n    - {database: default, columns: [age]}\n";
    let _nodes = (node(&world, "example_org1", only).await, node(&world, "example_org2", ALWAYS).await);
    let (researcher, admin) = (world.client("researcher").await, world.client("admin2").await);
    let mut two = ages(&[2]);
    two.databases.push("another".to_owned());
    let task = researcher.create_task(&two).await.unwrap();
    let (status, logs, _) = outcome(&researcher, task.id).await;
    assert_eq!(status, Status::NotAllowed, "{logs:?}");
    let kwargs = json!({"column_name": "age", "organizations_to_include": [3]});
    let mut central = average("central_average", &[2], kwargs);
    central.description = "For the ethics study".to_owned();
    researcher.create_task(&central).await.unwrap();
    let own = world.client("admin1").await;
    let review = waiting(&own, 1).await.remove(0);
    own.decide_review(review.id, &once(&review)).await.unwrap();
    assert_eq!(waiting(&admin, 1).await[0].request.purpose, "For the ethics study");
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_refuse_functions_columns_users_and_too_many_runs_with_reasons() {
    let world = World::new().await;
    let policies = "policies:\n  allowed_users: [researcher]\n  allowed_functions:\n    - functions: [partial_average, average_partial]\n  \
                    allowed_databases:\n    - {database: default, columns: [age]}\n    - {database: my_other_database, \
                    organizations: [example_org3]}\n  runs_per_user_per_day: 2\n";
    let _node = node(&world, "example_org1", policies).await;
    let researcher = world.client("researcher").await;
    let refused = async |spec: atoll::protocol::domain::TaskSpec| {
        let task = researcher.create_task(&spec).await.unwrap();
        let (status, logs, _) = outcome(&researcher, task.id).await;
        assert_eq!(status, Status::NotAllowed, "{logs:?}");
        logs[0].clone()
    };
    let log = refused(average("central_average", &[2], json!({"column_name": "age"}))).await;
    assert!(
        log.contains("does not allow the function \"central_average\"; of this image it allows partial_average"),
        "{log}"
    );
    let log = refused(average("partial_average", &[2], json!({"column_name": "height"}))).await;
    assert!(log.contains("does not allow the column \"height\" to who asks; it allows age"), "{log}");
    let mut other = ages(&[2]);
    other.databases = vec!["my_other_database".to_owned()];
    let log = refused(other).await;
    assert!(log.contains("does not allow the database \"my_other_database\" to who asks"), "{log}");
    for _ in 0..2 {
        let task = researcher.create_task(&ages(&[2])).await.unwrap();
        assert_eq!(outcome(&researcher, task.id).await.0, Status::Completed);
    }
    let log = refused(ages(&[2])).await;
    assert!(log.contains("at most 2 runs of one user a day"), "{log}");
    // What nobody may use is not shown either.
    let nodes = researcher.nodes_of(1).await.unwrap();
    let shared = nodes.iter().find(|node| node.organization_id == Some(2)).unwrap();
    assert_eq!(shared.database("default").unwrap().columns.as_deref(), Some(&["age".to_owned()][..]));
    assert_eq!(shared.policies.runs_per_user_per_day, Some(2));
    assert!(!shared.policies.is_unclear);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_suppressed_is_neither_zero_nor_a_failure() {
    let world = World::new().await;
    let _nodes = (
        node(&world, "example_org1", "policies:\n  minimum_rows: 5\n").await,
        node(&world, "example_org2", "").await,
        node(&world, "example_org3", "").await,
    );
    let researcher = world.client("researcher").await;
    let task = researcher.create_task(&ages(&[2])).await.unwrap();
    let (status, _, results) = outcome(&researcher, task.id).await;
    let suppressed = json!({"suppressed": "the table has fewer than 5 rows (minimum_rows)"});
    assert_eq!((status, results), (Status::Completed, vec![json!({"sum": suppressed, "count": suppressed})]));
    let kwargs = json!({"column_name": "age", "organizations_to_include": [2, 3]});
    let task = researcher.create_task(&average("central_average", &[4], kwargs)).await.unwrap();
    let (_, _, results) = outcome(&researcher, task.id).await;
    assert_eq!(results, [json!({"average": 43.25, "organizations_left_out": 1})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_named_limit_holds_for_a_run_at_the_node_that_has_it() {
    let world = World::new().await;
    // Four rows each.
    let _nodes = (
        node(&world, "example_org1", "policies:\n  smallest_subset: 5\n").await,
        node(&world, "example_org2", "policies:\n  largest_parameter_share: 0.1\n").await,
        node(&world, "example_org3", "policies:\n  smallest_cell: 4\n  smallest_subset: 4\n").await,
    );
    let researcher = world.client("researcher").await;
    let sent = |id: i64| average("partial_average", &[id], json!({"column_name": "age"}));
    for (organization, limit) in [(2, Some("smallest_subset")), (3, Some("largest_parameter_share")), (4, None)] {
        let task = researcher.create_task(&sent(organization)).await.unwrap();
        let (status, _, results) = outcome(&researcher, task.id).await;
        assert_eq!(status, Status::Completed);
        let text = results[0].to_string();
        match limit {
            Some(limit) => assert!(text.contains("suppressed") && text.contains(limit), "{text}"),
            None => assert!(!text.contains("suppressed"), "{text}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_passes_by_its_name_or_by_its_store_or_has_to_by_both() {
    let world = World::new().await;
    let (_, stores) = world.get("/algorithmstore", &world.token("root").await).await;
    let (id, store) = (stores["data"][0]["id"].as_i64(), stores["data"][0]["url"].as_str().unwrap());
    let researcher = world.client("researcher").await;
    let of_store = |store_id| atoll::protocol::domain::TaskSpec { store_id, ..ages(&[2]) };
    for (policies, by_store, by_none) in [
        (format!("allowed_algorithm_stores: [{store}]"), true, false),
        ("allowed_algorithm_stores: [https://store.example/api]".to_owned(), false, false),
        (format!("allowed_algorithm_stores: [{store}]\n  allowed_algorithms: [example.org/other]"), false, false),
        (
            format!(
                "allowed_algorithm_stores: [{store}]\n  allowed_algorithms: [example.org/other]\n  \
                 allow_either_whitelist_or_store: true"
            ),
            true,
            false,
        ),
        (
            format!(
                "allowed_algorithm_stores: [https://store.example/api]\n  allowed_algorithms: ['{AVERAGE}']\n  \
                 allow_either_whitelist_or_store: true"
            ),
            true,
            true,
        ),
    ] {
        let station = world
            .start_node_with("example_org1", |text| {
                *text = text.split("policies:").next().unwrap().to_owned();
                text.push_str(&format!("policies:\n  {policies}\n"));
            })
            .await;
        for (store_id, allowed) in [(id, by_store), (None, by_none)] {
            let task = researcher.create_task(&of_store(store_id)).await.unwrap();
            let (status, logs, _) = outcome(&researcher, task.id).await;
            let expected = if allowed { Status::Completed } else { Status::NotAllowed };
            assert_eq!(status, expected, "{policies} {store_id:?}: {logs:?}");
        }
        station.stop().await;
    }
}
