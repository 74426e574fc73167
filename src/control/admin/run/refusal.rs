//! Control's refusals in HAProxy's words.

use crate::control::Refusal;
use crate::control::admin::answer::Reply;

/// The sentence for what means the same whatever was asked.
pub(super) fn refused(refusal: Refusal) -> Reply {
    let sentence = match refusal {
        Refusal::NoSuchBackend => "No such backend.",
        Refusal::NoSuchServer => "No such server.",
        Refusal::NoSuchFrontend => "No such frontend.",
        Refusal::NoSuchSession => "No such session (use 'show sess').",
        Refusal::AlreadyExists => "Already exists a server with the same name in backend.",
        Refusal::NoCheck => "Health check was not configured on this server, cannot enable.",
        Refusal::NoTls => {
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings"
        }
        Refusal::ShutDown => "Frontend was previously shut down, cannot enable.",
        Refusal::AlreadySo => return Reply::notice("Nothing to do."),
        Refusal::BadName(sentence) | Refusal::Other(sentence) => return Reply::refused(sentence),
        // In force: no client may take this for a refusal.
        late @ Refusal::Late(_) => return Reply::warning(late.to_string()),
    };
    Reply::refused(sentence)
}
