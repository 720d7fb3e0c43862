//! Budgets and limits: counted at the gate, on every statement, whoever judged it.

use bytes::Bytes;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{
    plane,
    rig::{Answer, Client, Rig, send},
    snowflake::{Act, ok, result, rows},
};

const SQL: &str = "select name from customers";
const STORAGE: &str = "/bucket/chunk-0";
const SECRET: &str = "x-snowgate-encryption-key";

/// A budget of `agent-day` with these numbers.
fn budget(numbers: &Value) -> Value {
    let mut budget = json!({"name": "agent-day", "per_s": 86400, "statements": null, "rows": null,
                            "bytes": null, "values": null, "tags": [], "hold": false});
    budget.as_object_mut().unwrap().extend(numbers.as_object().unwrap().clone());
    budget
}

/// A rig whose verdicts count in a budget, and hold what is over it if the budget says so.
fn counted(numbers: &Value) -> (Rig, Client) {
    let mut rig = Rig::with_limits(json!({"poll_hold_s": 0.3}));
    let budget = budget(numbers);
    rig.budgets = json!([budget]);
    rig.plane.judge(move |question| judged(question, &budget));
    let client = rig.login("job");
    (rig, client)
}

fn judged(question: &Value, budget: &Value) -> Value {
    let over = question["over"].as_array().unwrap();
    let mut verdict = if over.is_empty() { plane::allow(question) } else { plane::hold(question) };
    verdict["budgets"] = json!([budget]);
    verdict["over"] = json!(over);
    verdict
}

async fn poll_to_the_end(client: &Client, query_id: &str) -> Answer {
    loop {
        let answer = client.poll(query_id).await;
        if answer.code() != "333333" {
            return answer;
        }
    }
}

fn three_rows() -> Act {
    let mut answer = rows(7, &["NAME"], &json!([["a"], ["b"], ["c"]]));
    answer["data"]["total"] = json!(3);
    answer["data"]["returned"] = json!(3);
    Act::Json(answer)
}

fn limited(rows: Option<u64>, bytes: Option<u64>) -> impl Fn(&Value) -> Value + Send + 'static {
    let bound = |most: Option<u64>| most.map(|most| json!({"most": most, "rule": "small-reads"}));
    let limit = json!({"rows": bound(rows), "bytes": bound(bytes)});
    move |question| {
        let mut verdict = plane::allow(question);
        verdict["limit"] = limit.clone();
        verdict
    }
}

#[test]
fn a_result_above_the_limit_of_a_rule_is_withheld_whole() {
    for (rows, bytes, fits) in [
        (Some(2), None, false),
        (Some(3), None, true),
        (None, Some(18), false),
        (None, Some(19), true),
    ] {
        let rig = Rig::new();
        rig.plane.judge(limited(rows, bytes));
        rig.snowflake.on(SQL, three_rows());
        let client = rig.login("job");

        let answer = rig.block(client.query(SQL));

        assert_eq!(answer.success(), fits, "{}", answer.message());
        if fits {
            assert_eq!(answer.json["data"]["rowset"], json!([["a"], ["b"], ["c"]]));
            continue;
        }
        assert_eq!(answer.code(), "003001");
        assert!(
            answer.message().starts_with("denied by rule small-reads: "),
            "{}",
            answer.message()
        );
        assert!(answer.json["data"]["rowset"].is_null());
        let denial = &rig.wait_for_entries("denial", 1)[0];
        assert_eq!(denial["rules"], json!(["small-reads"]));
        let outcome = rig.outcome(&rig.intents()[0]);
        assert_eq!((&outcome["status"], &outcome["fault"]), (&json!("ok"), &json!("size")));
        assert!(outcome["rows"].is_null(), "none were given");
    }
}

#[test]
fn a_result_of_unknown_size_is_withheld_where_its_size_counts() {
    let rig = Rig::new();
    rig.plane.judge(limited(Some(10), None));
    let mut answer = rows(7, &["NAME"], &json!([["a"]]));
    answer["data"]["total"] = Value::Null;
    answer["data"]["returned"] = Value::Null;
    rig.snowflake.on(SQL, Act::Json(answer));
    let client = rig.login("job");

    let answer = rig.block(client.query(SQL));

    assert!(answer.message().contains("does not say how large"), "{}", answer.message());
}

/// The answer to a query with one chunk whose size upstream says so, under this verdict.
fn chunked(
    judge: impl Fn(&Value) -> Value + Send + 'static,
    told_bytes: usize,
    stored: &[u8],
) -> (Rig, Answer) {
    let rig = Rig::new();
    rig.plane.judge(judge);
    let client = rig.login("job");
    let mut data = result(7, &["NAME"], &json!([]));
    data["total"] = json!(2);
    data["returned"] = json!(2);
    let url = format!("http://127.0.0.1:{}{STORAGE}", rig.snowflake.port);
    data["chunks"] = json!([{"url": url, "rowCount": 2, "uncompressedSize": told_bytes,
                             "compressedSize": told_bytes}]);
    rig.snowflake.on(SQL, Act::Json(ok(&data)));
    let body = Bytes::from(stored.to_vec());
    rig.snowflake.on(STORAGE, Act::Raw(200, Vec::new(), body));
    let answer = rig.block(client.query(SQL));
    (rig, answer)
}

fn fetch(rig: &Rig, answer: &Answer) -> Option<Answer> {
    let url = answer.json["data"]["chunks"][0]["url"].as_str().unwrap();
    let path = url.strip_prefix(&format!("http://{}", rig.address())).unwrap().to_owned();
    let secret = answer.json["data"]["chunkHeaders"][SECRET].as_str().unwrap().to_owned();
    let headers = vec![(SECRET.to_owned(), secret)];
    rig.block(send(rig.address(), "GET", path, headers, Vec::new()))
}

#[test]
fn chunks_above_the_limit_are_withheld_with_the_head() {
    let (_rig, answer) = chunked(limited(None, Some(1000)), 1001, b"[\"a\"]");
    assert!(answer.message().starts_with("denied by rule small-reads: "), "{}", answer.message());

    let (_rig, answer) = chunked(limited(Some(1), None), 10, b"[\"a\"]");
    assert!(answer.message().starts_with("denied by rule small-reads: "), "{}", answer.message());
}

#[test]
fn a_chunk_that_is_larger_than_told_is_cut_before_the_limit_is_passed() {
    let stored = vec![b'x'; 300_000];
    let (rig, answer) = chunked(limited(None, Some(200_000)), 1000, &stored);
    assert!(answer.success(), "{}", answer.message());

    assert!(fetch(&rig, &answer).is_none(), "the connection is cut");
    let again = fetch(&rig, &answer).unwrap();

    assert_eq!((again.status, again.bytes.len()), (413, 0));
    let denial = &rig.wait_for_entries("denial", 1)[0];
    assert_eq!(denial["rules"], json!(["small-reads"]));
    assert_eq!(rig.snowflake.seen(STORAGE).len(), 1, "what is over is not fetched again");
}

#[test]
fn a_chunk_that_is_fetched_again_counts_once() {
    let stored = vec![b'x'; 1000];
    let day = budget(&json!({"bytes": 1500}));
    let judge = move |question: &Value| judged(question, &day);
    let (rig, answer) = chunked(judge, 900, &stored);

    for _ in 0..3 {
        assert_eq!(fetch(&rig, &answer).unwrap().bytes.len(), 1000);
    }
}

#[test]
fn fifty_threads_do_not_overshoot_a_budget_of_statements() {
    let (rig, client) = counted(&json!({"statements": 20}));
    rig.snowflake.on(SQL, three_rows());

    let running: Vec<_> = (0..50)
        .map(|_| {
            let client = client.clone();
            rig.spawn(async move { client.query(SQL).await })
        })
        .collect();
    let answers: Vec<_> = running.into_iter().map(|one| rig.block(one).unwrap()).collect();

    assert_eq!(answers.iter().filter(|answer| answer.success()).count(), 20);
    assert_eq!(rig.snowflake.ran(SQL).len(), 20);
    let denied = answers.iter().find(|answer| !answer.success()).unwrap();
    assert!(
        denied.message().starts_with(
            "denied by rule agent-day: the budget of 20 statements per 1 d is used up; reference "
        ),
        "{}",
        denied.message()
    );
    assert!(denied.message().contains("what to do: try again after 20"), "{}", denied.message());
    let denials = rig.wait_for_entries("denial", 30);
    assert!(denials.iter().all(|denial| denial["rules"] == json!(["agent-day"])));
}

#[test]
fn a_statement_is_counted_whether_or_not_its_verdict_was_cached() {
    let (rig, client) = counted(&json!({"statements": 3}));
    let answers: Vec<_> = (0..5).map(|_| rig.block(client.query(SQL)).success()).collect();

    assert_eq!(answers, [true, true, true, false, false]);
    assert!(rig.plane.asked("judge").len() <= 2, "the text and its template");
}

#[test]
fn the_same_request_is_counted_once_however_often_it_is_sent() {
    let (rig, client) = counted(&json!({"statements": 1, "rows": 3}));
    rig.snowflake.on(SQL, three_rows());
    let again = format!("/queries/{}/result", crate::snowflake::id(7));
    rig.snowflake.on(&again, three_rows());
    let request_id = Uuid::new_v4();

    for _ in 0..3 {
        let answer = rig.block(client.query_as(&request_id, SQL));
        assert!(answer.success(), "{}", answer.message());
        assert_eq!(answer.json["data"]["rowset"], json!([["a"], ["b"], ["c"]]));
    }

    assert_eq!(rig.snowflake.ran(SQL).len(), 1);
    assert!(!rig.block(client.query(SQL)).success());
}

#[test]
fn principals_have_budgets_of_their_own() {
    let (rig, client) = counted(&json!({"statements": 1}));
    let other = rig.login("other");

    assert!(rig.block(client.query(SQL)).success());
    assert!(!rig.block(rig.login("job").query(SQL)).success(), "another session of the same");
    assert!(rig.block(other.query(SQL)).success());
}

#[test]
fn a_result_that_does_not_fit_in_a_budget_is_withheld_and_takes_nothing() {
    let (rig, client) = counted(&json!({"rows": 5}));
    rig.snowflake.on(SQL, three_rows());
    rig.snowflake.on("select 1", Act::Json(rows(8, &["C"], &json!([["1"]]))));

    assert!(rig.block(client.query(SQL)).success());
    let withheld = rig.block(client.query(SQL));
    assert!(withheld.message().contains("does not fit in what is left"), "{}", withheld.message());
    assert!(withheld.json["data"]["rowset"].is_null());
    assert!(rig.block(client.query("select 1")).success(), "two are left");
}

#[test]
fn over_a_budget_that_asks_people_a_statement_waits_for_them_and_keeps_its_masks() {
    let (rig, client) = counted(&json!({"statements": 1, "hold": true}));
    let day = budget(&json!({"statements": 1, "hold": true}));
    rig.plane.judge(move |question| {
        let mut verdict = judged(question, &day);
        verdict["plan"] = json!([{"name": "NAME", "mask": "redact", "tags": ["pii"]}]);
        verdict
    });
    rig.snowflake.on(SQL, three_rows());
    assert!(rig.block(client.query(SQL)).success());

    let held = rig.block(client.query(SQL));
    assert_eq!(held.code(), "333333", "{}", held.message());
    assert_eq!(rig.snowflake.ran(SQL).len(), 1);
    let query_id = held.query_id();
    assert_eq!(rig.plane.asked("hold")[0]["verdict"]["over"], json!(["agent-day"]));
    rig.plane.decide(&query_id, "approved");
    rig.gate().wake(&query_id);
    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.json["data"]["rowset"], json!([["***"], ["***"], ["***"]]));
    assert_eq!(rig.snowflake.ran(SQL).len(), 2);
    assert_eq!(rig.block(client.query(SQL)).code(), "333333", "the next one waits again");
}

#[test]
fn a_result_that_did_not_fit_can_be_approved_when_it_is_asked_for_again() {
    let (rig, client) = counted(&json!({"rows": 2, "hold": true}));
    rig.snowflake.on(SQL, three_rows());
    let withheld = rig.block(client.query(SQL));
    assert!(withheld.message().contains("ask for its approval"), "{}", withheld.message());

    let held = rig.block(client.query(SQL));
    assert_eq!(held.code(), "333333", "{}", held.message());
    let query_id = held.query_id();
    rig.plane.decide(&query_id, "approved");
    rig.gate().wake(&query_id);
    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.json["data"]["rowset"], json!([["a"], ["b"], ["c"]]));
}

#[test]
fn an_approval_for_something_else_lets_nothing_over_a_budget() {
    let (rig, client) = counted(&json!({"statements": 1, "hold": true}));
    let day = budget(&json!({"statements": 1, "hold": true}));
    rig.plane.judge(move |question| {
        let drops = question["sql"].as_str().unwrap().to_lowercase().starts_with("drop");
        let mut verdict = judged(question, &day);
        if drops {
            verdict = plane::hold(question);
            verdict["budgets"] = json!([day]);
            verdict["over"] = question["over"].clone();
        }
        verdict
    });
    let sql = "drop table t";
    let query_id = rig.block(client.query(sql)).query_id();
    assert!(rig.block(client.query(SQL)).success(), "it uses the budget up");
    rig.plane.decide(&query_id, "approved");
    rig.gate().wake(&query_id);

    let answer = rig.block(poll_to_the_end(&client, &query_id));

    assert_eq!(answer.code(), "000604", "{}", answer.message());
    assert!(rig.snowflake.ran(sql).is_empty());
    let held = rig.block(client.query(sql));
    assert_eq!(held.code(), "333333");
    let asked = rig.plane.asked("hold");
    assert_eq!(asked.last().unwrap()["verdict"]["over"], json!(["agent-day"]), "for both now");
}

#[test]
fn a_restart_gives_nothing_back() {
    let (mut rig, client) = counted(&json!({"statements": 3, "rows": 8, "bytes": 60}));
    rig.snowflake.on(SQL, three_rows());
    for _ in 0..2 {
        assert!(rig.block(client.query(SQL)).success());
    }
    let outcome = rig.outcome(&rig.intents()[1]);
    assert_eq!((&outcome["rows"], &outcome["bytes"]), (&json!(3), &json!(19)));

    rig.restart();
    rig.plane.on("done", json!({}));

    let client = Client { address: rig.address(), ..client };
    let withheld = rig.block(client.query(SQL));
    assert!(withheld.message().contains("8 rows"), "{}", withheld.message());
    let over = rig.block(client.query(SQL));
    assert!(over.message().contains("3 statements"), "{}", over.message());
    assert!(rig.block(rig.login("other").query(SQL)).success());
}

/// A query that compares a tagged column with its one bind.
async fn look_up(client: &Client, value: Value) -> Answer {
    let path = format!("/queries/v1/query-request?requestId={}", Uuid::new_v4());
    let body = json!({"sqlText": "select 1 from customers where email = ?", "sequenceId": 1,
                      "bindings": {"1": {"type": "TEXT", "value": value}}});
    client.post(&path, body).await
}

fn comparing(numbers: &Value, compared: Value) -> (Rig, Client) {
    let (rig, client) = counted(numbers);
    let day = budget(numbers);
    rig.plane.judge(move |question| {
        let mut verdict = judged(question, &day);
        verdict["compared"] = compared.clone();
        verdict
    });
    (rig, client)
}

#[test]
fn values_that_are_bound_are_counted_apart_and_survive_a_restart() {
    let numbers = json!({"values": 2});
    let (mut rig, client) = comparing(&numbers, json!([{"tag": "pii", "bind": 1}]));
    for value in ["ann@example.com", "bo@example.com", "ann@example.com"] {
        assert!(rig.block(look_up(&client, json!(value))).success());
    }
    let denied = rig.block(look_up(&client, json!("cy@example.com")));
    assert!(
        denied.message().contains("the budget of 2 distinct tagged values per 1 d is used up"),
        "{}",
        denied.message()
    );
    let array = rig.block(look_up(&client, json!(["ann@example.com", "cy@example.com"])));
    assert!(!array.success(), "every element counts");
    let intent = &rig.intents()[0];
    assert!(!intent.to_string().contains("ann@"));
    assert!(!rig.text(intent, "values").contains("ann@"), "hashes only");

    rig.restart();

    let client = Client { address: rig.address(), ..client };
    assert!(!rig.block(look_up(&client, json!("cy@example.com"))).success());
    let known = rig.block(look_up(&client, json!("bo@example.com")));
    assert!(known.success(), "{}", known.message());
}

#[test]
fn values_whose_key_was_destroyed_count_each_for_itself() {
    let numbers = json!({"values": 2});
    let (mut rig, client) = comparing(&numbers, json!([{"tag": "pii", "bind": 1}]));
    for _ in 0..2 {
        assert!(rig.block(look_up(&client, json!("ann@example.com"))).success());
    }
    let day = std::fs::read_dir(rig.dir.path().join("text-keys")).unwrap().next().unwrap().unwrap();

    std::fs::remove_dir_all(day.path()).unwrap();
    rig.restart();

    let client = Client { address: rig.address(), ..client };
    assert!(!rig.block(look_up(&client, json!("ann@example.com"))).success());
}

#[test]
fn a_statement_that_is_only_described_compares_nothing() {
    let (rig, client) = comparing(&json!({"values": 1}), json!([{"tag": "pii", "bind": 1}]));
    let path = format!("/queries/v1/query-request?requestId={}", Uuid::new_v4());
    let body = json!({"sqlText": "select 1 from customers where email = ?", "sequenceId": 1,
                      "describeOnly": true});

    let described = rig.block(client.post(&path, body));

    assert!(described.success(), "{}", described.message());
    assert!(rig.block(look_up(&client, json!("ann@example.com"))).success());
}

#[test]
fn a_value_that_the_statement_does_not_show_is_denied() {
    for compared in [json!([{"tag": "pii"}]), json!([{"tag": "pii", "bind": 2}])] {
        let (rig, client) = comparing(&json!({"values": 9}), compared);

        let denied = rig.block(look_up(&client, json!("ann@example.com")));

        assert!(denied.message().starts_with("denied by rule agent-day: "), "{}", denied.message());
        assert!(rig.intents().is_empty());
    }
}
