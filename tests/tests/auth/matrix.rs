//! Deny by default, for every RPC of the service descriptor: without credentials, with wrong ones,
//! without a grant, with grants for something else, with one that was revoked, and as `root`.

use std::collections::BTreeMap;

use bytes::Bytes;
use millstream_gateway::auth::table::{RULES, Rule};
use millstream_gateway::pb::OperatePrivilegeType::{Grant, Revoke};
use millstream_tests::on_both;
use millstream_tests::site::Site;
use tonic::Code;

use crate::raw::{Raw, rpcs};
use crate::{ROOT, create_role, create_user, give, grant, header};

/// Names in the messages: of a collection that is or was there, of nobody, of nothing.
fn names() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("db_name", "default"),
        ("collection_name", "c"),
        ("collection_names", "c"),
        ("username", "nobody"),
        ("role_name", "nothing"),
        ("group_name", "nothing"),
    ])
}

/// Whether an answer of gRPC is a refusal of the door, and its text.
fn refusal(answer: Result<Bytes, tonic::Status>) -> Option<(Code, String)> {
    let status = answer.err()?;
    let refused = [Code::Unauthenticated, Code::PermissionDenied].contains(&status.code());
    refused.then(|| (status.code(), status.message().to_owned()))
}

async fn every_rpc_is_denied_without_the_grant(site: Site) {
    let mut raw = Raw::new(&site);
    create_user(&site, "u", "secret-u").await.expect("a user");
    create_role(&site, "r").await.expect("a role");
    give(&site, "u", "r").await.expect("the role is given");
    for of_public in ["DescribeCollection", "ListAliases", "IndexDetail"] {
        grant(&site, "public", ("*", "*", of_public), Revoke).await.expect("revoked");
    }
    let rules: BTreeMap<&str, Rule> = RULES.iter().copied().collect();
    let user = header("u:secret-u").into_bytes();
    let mut wrong = Vec::new();
    let mut checks = 0;
    for (rpc, message) in rpcs(&names()) {
        let mut check = |what: &str, found: Option<(Code, String)>, due: Option<(Code, &str)>| {
            checks += 1;
            let fits = match (&found, due) {
                (Some((code, text)), Some((due, part))) => *code == due && text.contains(part),
                (found, due) => found.is_none() && due.is_none(),
            };
            if !fits {
                wrong.push(format!("{rpc}, {what}: {found:?}; {due:?} is due"));
            }
        };
        let unknown = Some((Code::Unauthenticated, "missing authorization in header"));
        check("no credentials", refusal(raw.call(&rpc, &message, None).await), unknown);
        let bad = header("u:wrong-u").into_bytes();
        let unknown = Some((Code::Unauthenticated, "check username and password are correct"));
        check("wrong password", refusal(raw.call(&rpc, &message, Some(&bad)).await), unknown);
        let nobody = header("nobody:secret-u").into_bytes();
        check("nobody", refusal(raw.call(&rpc, &message, Some(&nobody)).await), unknown);

        match rules[&*rpc] {
            Rule::Known => {
                check("a user", refusal(raw.call(&rpc, &message, Some(&user)).await), None);
            }
            Rule::Needs(_, privilege) => {
                let text = format!("Privilege{privilege}: permission deny to u in the `default`");
                let denied = Some((Code::PermissionDenied, &*text));
                check("no grant", refusal(raw.call(&rpc, &message, Some(&user)).await), denied);
                for elsewhere in [("other", "*"), ("default", "elsewhere")] {
                    let on = (elsewhere.0, elsewhere.1, privilege);
                    grant(&site, "r", on, Grant).await.expect("a grant");
                    let answer = raw.call(&rpc, &message, Some(&user)).await;
                    check("a grant elsewhere", refusal(answer), denied);
                    grant(&site, "r", on, Revoke).await.expect("revoked");
                }
                let on = ("default", "*", privilege);
                grant(&site, "r", on, Grant).await.expect("a grant");
                check("granted", refusal(raw.call(&rpc, &message, Some(&user)).await), None);
                grant(&site, "r", on, Revoke).await.expect("revoked");
                check("revoked", refusal(raw.call(&rpc, &message, Some(&user)).await), denied);
            }
        }
        let root = header(ROOT).into_bytes();
        check("root", refusal(raw.call(&rpc, &message, Some(&root)).await), None);
    }
    assert!(wrong.is_empty(), "{} of {checks}:\n  {}", wrong.len(), wrong.join("\n  "));
    assert!(checks >= 9 * 45, "only {checks} checks");
    eprintln!("{checks} checks");
}
on_both!(every_rpc_is_denied_without_the_grant, "--auth");

/// Off is the default, as in Milvus: whatever credentials are sent, everybody may do everything.
async fn without_authorization_credentials_are_not_looked_at(site: Site) {
    let mut raw = Raw::new(&site);
    for (rpc, message) in rpcs(&names()) {
        for header in [None, Some(&b"not even base64"[..])] {
            assert_eq!(refusal(raw.call(&rpc, &message, header).await), None, "{rpc}");
        }
    }
}
on_both!(without_authorization_credentials_are_not_looked_at);
