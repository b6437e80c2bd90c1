//! The kubeconfig itself (`v1`, `Config`), after what kubectl reads. It knows no hub and no file.

use std::{path::PathBuf, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_model::AccessRole;
use berth_wire::file::Tree;

use super::file::HEADER;
use crate::{
    exit::{Exit, Failure},
    output::unwritable,
};

/// The API by which kubectl asks programs for credentials.
pub(super) const EXEC_API: &str = "client.authentication.k8s.io/v1";

/// A kubeconfig of one tenant in one role.
pub(super) struct Kubeconfig<'a> {
    pub(super) tenant: &'a str,
    pub(super) role: AccessRole,
    pub(super) cluster: &'a str,
    pub(super) api_url: &'a str,
    /// Empty when the system's roots serve.
    pub(super) api_ca_pem: &'a str,
    /// The main one first.
    pub(super) namespaces: &'a [String],
    pub(super) entry: Entry<'a>,
}

/// How kubectl shows who calls.
pub(super) enum Entry<'a> {
    /// By this token.
    Token { token: &'a str, expires: &'a str },
    /// By what `berth kubeconfig credential` prints.
    Exec {
        lifetime: Duration,
        context_file: Option<PathBuf>,
    },
}

impl Kubeconfig<'_> {
    /// The file's text; `current` is the namespace of the current context, by its name or by what the tenant's file calls it.
    pub(super) fn text(&self, current: Option<&str>) -> Result<String, Failure> {
        let current = self.current(current)?;
        let cluster = format!("berth-{}", self.cluster);
        let user = format!("berth-{}-{}", self.tenant, self.role);
        let mut reached = Tree::map().text("server", self.api_url);
        if !self.api_ca_pem.is_empty() {
            reached = reached.text("certificate-authority-data", &STANDARD.encode(self.api_ca_pem));
        }
        let contexts = self.namespaces.iter().map(|namespace| {
            let context = Tree::map()
                .text("cluster", &cluster)
                .text("user", &user)
                .text("namespace", namespace);
            Tree::map()
                .text("name", &self.context(namespace))
                .with("context", context)
        });
        let config = Tree::map()
            .text("apiVersion", "v1")
            .text("kind", "Config")
            .with("clusters", one(&cluster, "cluster", reached))
            .with("users", one(&user, "user", self.user()))
            .with("contexts", Tree::List(contexts.collect()))
            .text("current-context", &self.context(current));
        let valid = match &self.entry {
            Entry::Token { expires, .. } => format!("its token is valid until {expires}"),
            Entry::Exec { .. } => "kubectl fetches tokens with berth".to_owned(),
        };
        let yaml = config.to_unfolded_yaml().map_err(unwritable)?;
        Ok(format!(
            "{HEADER} tenant {} --as {}: {valid}\n{yaml}",
            self.tenant, self.role
        ))
    }

    fn user(&self) -> Tree {
        match &self.entry {
            Entry::Token { token, .. } => Tree::map().text("token", token),
            Entry::Exec {
                lifetime,
                context_file,
            } => {
                let subject = format!("tenant/{}", self.tenant);
                let (role, lifetime) = (self.role.as_str(), format!("{}s", lifetime.as_secs()));
                let mut arguments = vec![
                    "kubeconfig",
                    "credential",
                    &subject,
                    "--as",
                    role,
                    "--lifetime",
                    &lifetime,
                ];
                let context_file = context_file.as_ref().map(|path| path.display().to_string());
                if let Some(path) = &context_file {
                    arguments.extend(["--context-file", path]);
                }
                let exec = Tree::map()
                    .text("apiVersion", EXEC_API)
                    .text("command", "berth")
                    .with("args", Tree::texts(arguments))
                    .text("interactiveMode", "Never")
                    .with("provideClusterInfo", Tree::Bool(false))
                    .text(
                        "installHint",
                        "this kubeconfig fetches its tokens with berth: put berth into the PATH",
                    );
                Tree::map().with("exec", exec)
            }
        }
    }

    fn context(&self, namespace: &str) -> String {
        format!("{}@{namespace}", self.role)
    }

    fn current(&self, wanted: Option<&str>) -> Result<&str, Failure> {
        let main = self.namespaces.first().map_or("", String::as_str);
        let Some(wanted) = wanted else { return Ok(main) };
        let extra = format!("{main}--{wanted}");
        let found = self
            .namespaces
            .iter()
            .find(|namespace| **namespace == wanted || **namespace == extra);
        found.map(String::as_str).ok_or_else(|| {
            let known = self.namespaces.join(", ");
            let line = format!(
                "tenant/{} has no namespace {wanted:?}; it has {known}",
                self.tenant
            );
            Failure::new(Exit::NotFound, line)
        })
    }
}

fn one(name: &str, field: &str, value: Tree) -> Tree {
    Tree::List(vec![Tree::map().text("name", name).with(field, value)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(entry: Entry<'_>, current: Option<&str>) -> Result<String, Failure> {
        Kubeconfig {
            tenant: "acme",
            role: AccessRole::User,
            cluster: "eu-1",
            api_url: "https://api.eu-1.example:6443",
            api_ca_pem: "-----BEGIN CERTIFICATE-----\n",
            namespaces: &["t-acme".to_owned(), "t-acme--dev".to_owned()],
            entry,
        }
        .text(current)
    }

    fn token() -> Entry<'static> {
        Entry::Token {
            token: "eyJ.a.b",
            expires: "2026-01-01T01:00:00Z",
        }
    }

    #[test]
    fn a_kubeconfig_has_a_context_for_each_namespace_and_the_main_one_is_current() {
        insta::assert_snapshot!(text(token(), None).unwrap());
    }

    #[test]
    fn a_token_stays_on_its_line_however_long_it_is() {
        let token = "eyJhbGciOi".repeat(200);
        let entry = Entry::Token {
            token: &token,
            expires: "",
        };
        let text = text(entry, None).unwrap();
        assert!(text.contains(&format!("    token: {token}\n")), "{text}");
    }

    #[test]
    fn with_exec_no_token_is_written_and_kubectl_is_told_whom_to_ask() {
        let exec = Entry::Exec {
            lifetime: Duration::from_secs(900),
            context_file: Some("/home/ann/berth context.yaml".into()),
        };
        insta::assert_snapshot!(text(exec, Some("dev")).unwrap());
    }

    #[test]
    fn the_current_namespace_is_named_in_full_or_as_the_tenants_file_has_it() {
        for (wanted, current) in [
            ("t-acme", "user@t-acme"),
            ("t-acme--dev", "user@t-acme--dev"),
            ("dev", "user@t-acme--dev"),
        ] {
            let text = text(token(), Some(wanted)).unwrap();
            assert!(text.ends_with(&format!("current-context: {current}\n")), "{text}");
        }
        let failure = text(token(), Some("kube-system")).unwrap_err();
        assert_eq!(failure.exit, Exit::NotFound);
        assert!(failure.lines[0].contains("t-acme, t-acme--dev"), "{failure:?}");
    }
}
