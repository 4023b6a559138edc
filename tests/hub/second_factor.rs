//! Codes of an authenticator app: set up, asked for, once only, and not to be guessed.

use serde_json::{Value, json};

use crate::{
    POST,
    support::{
        PASSWORD, World,
        second_factor::{code_at, code_of},
    },
};

async fn attempt(world: &World, username: &str, code: Option<&str>) -> (u16, Value) {
    let body = json!({"username": username, "password": PASSWORD, "mfa_code": code});
    let (status, answer) = world.call(POST, "token/user", None, Some(&body)).await;
    (status.as_u16(), answer)
}

/// A world in which everybody needs a code, and the key of this user, who has set it up and used the present code.
async fn set_up(username: &str) -> (World, String, String) {
    let world = World::with(true).await;
    let (status, answer) = attempt(&world, username, None).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["access_token"].is_null(), "no session without a code");
    assert!(answer["qr_uri"].as_str().unwrap().starts_with("otpauth://totp/"), "{answer}");
    let key = answer["otp_secret"].as_str().unwrap().to_owned();
    let code = code_of(&key);
    let (status, answer) = attempt(&world, username, Some(&code)).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer["access_token"].is_string());
    (world, key, code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_asked_for_and_taken_once() {
    let (world, key, used) = set_up("viewer").await;
    let (status, answer) = attempt(&world, "viewer", None).await;
    assert_eq!(status, 200);
    let keys: Vec<&String> = answer.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["msg"], "the secret is told once");
    assert_eq!(attempt(&world, "viewer", Some(&used)).await.0, 401, "used already");
    let next = code_at(&key, 1);
    assert_eq!(attempt(&world, "viewer", Some(&next)).await.0, 200);
    assert_eq!(attempt(&world, "viewer", Some(&next)).await.0, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_codes_lock_the_account_and_asking_for_help_does_not_unlock_it() {
    let (world, key, _) = set_up("viewer").await;
    let right = code_at(&key, 1);
    let wrong = format!("{:06}", (right.parse::<u32>().unwrap() + 1) % 1_000_000);
    let lost = json!({"username": "viewer", "password": PASSWORD});
    for _ in 0..5 {
        assert_eq!(attempt(&world, "viewer", Some(&wrong)).await.0, 401);
        // Whoever knows the password must not get new tries at the code by this.
        world.call(POST, "recover/2fa/lost", None, Some(&lost)).await;
        attempt(&world, "viewer", None).await;
    }
    // Fresh: the one of before may be too old by now.
    assert_eq!(attempt(&world, "viewer", Some(&code_at(&key, 1))).await.0, 401, "locked");
    // Others are not.
    assert_eq!(attempt(&world, "admin1", None).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_lets_somebody_set_up_a_new_one_and_nobody_else_does() {
    let (world, secret, used) = set_up("researcher").await;
    let step = code_at(&secret, 1);
    assert_ne!(step, used);
    let (_, signed_in) = attempt(&world, "researcher", Some(&step)).await;
    let token = signed_in["access_token"].as_str().unwrap().to_owned();
    let path = "user/1/reset-second-factor";
    assert_eq!(world.call(reqwest::Method::POST, path, Some(&token), None).await.0, 401, "not oneself");
    let (_, admin) = attempt(&world, "admin1", None).await;
    let code = crate::support::second_factor::code_of(admin["otp_secret"].as_str().unwrap());
    let (_, admin) = attempt(&world, "admin1", Some(&code)).await;
    let admin = admin["access_token"].as_str().unwrap();
    assert_eq!(world.call(reqwest::Method::POST, path, Some(admin), None).await.0, 200);
    assert_eq!(world.get("task", &token).await.0, 401, "the sessions have ended");
    let (_, again) = attempt(&world, "researcher", None).await;
    assert_ne!(again["otp_secret"].as_str().unwrap(), secret);
}
