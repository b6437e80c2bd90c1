//! Texts of others that would move the cursor, ring, forge lines or turn the order of what is read: none reaches the terminal as itself.

use berth_model::visible;

use crate::hub::{Hub, berth_alone, condition, tenant};

/// ESC, CSI as one character (U+009B), BEL, a carriage return, and overrides of the direction (Trojan Source).
const EVIL: &str = "x\u{1b}[2J\u{1b}]0;title\u{7}\u{9b}31m\rforged\u{202e}desrever\u{2066}";

#[track_caller]
fn harmless(text: &str) {
    let unsafe_here = |c: char| visible::is_unsafe(c) && c != '\n' && c != '\t';
    assert!(!text.contains(unsafe_here), "{text:?}");
}

#[tokio::test]
async fn what_a_hub_says_of_others_is_shown_and_obeyed_by_no_terminal() {
    let hub = Hub::start().await;
    hub.change(|state| {
        let mut acme = tenant("acme", "free", true);
        let spec = acme.spec.as_mut().unwrap();
        spec.labels = [("team".to_owned(), EVIL.to_owned())].into();
        spec.domain = EVIL.into();
        let status = acme.status.as_mut().unwrap();
        status.conditions.push(condition("Healthy", "False", EVIL, EVIL));
        state.tenants.insert("acme".into(), acme);
    });
    for command in [
        "get tenants",
        "get tenants -o wide",
        "get tenants -o json",
        "get tenants -o yaml",
        "get tenants -o name",
        "describe tenant acme",
    ] {
        let ran = hub.berth(command).await;
        assert_eq!(ran.code, 0, "{ran:?}");
        harmless(&ran.out);
        harmless(&ran.err);
    }
    // It is shown by its numbers, and machines get it unchanged.
    let described = hub.berth("describe tenant acme").await.well();
    assert!(
        described.contains("\\u{1b}[2J") && described.contains("\\u{202e}"),
        "{described}"
    );
    for format in ["json", "yaml"] {
        let text = hub.berth(&format!("get tenant acme -o {format}")).await.well();
        let read: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
        assert_eq!(read["spec"]["labels"]["team"], EVIL, "{text}");
    }
}

#[tokio::test]
async fn what_a_person_was_given_to_paste_or_apply_is_not_obeyed_either() {
    let hub = Hub::start().await;
    let file = format!("apiVersion: berth.dev/v1\nkind: Tenant\nmetadata: {{name: {EVIL:?}}}\nspec: {{tier: {EVIL:?}, {EVIL:?}: 1}}\n")
        .replace("\\u{1b}", "\\e")
        .replace("\\u{7}", "\\a")
        .replace("\\u{9b}", "\\x9b")
        .replace("\\u{202e}", "\\u202e")
        .replace("\\u{2066}", "\\u2066");
    let path = hub.file("evil.yaml", &file);
    let ran = hub.berth(&format!("apply -f {path}")).await;
    assert_ne!(ran.code, 0, "{ran:?}");
    assert!(!ran.err.is_empty());
    harmless(&ran.err);
    harmless(&ran.out);
    for arguments in [
        vec!["get", EVIL],
        vec!["get", "tenant", EVIL, "--context-file", EVIL],
        vec!["delete", "tenant", EVIL, EVIL],
        vec![EVIL],
        vec!["get", "tenants", "-o", EVIL],
        vec!["token", "create", EVIL, "--ttl", EVIL],
        vec!["apply", "-f", EVIL],
    ] {
        let ran = berth_alone(&arguments).await;
        assert_ne!(ran.code, 0, "{ran:?}");
        assert!(!ran.err.is_empty(), "{arguments:?}");
        harmless(&ran.err);
        harmless(&ran.out);
    }
}
