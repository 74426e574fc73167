//! One request to the page, answered.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, REFRESH, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::timeout;

use super::action::{Asked, Outcome, Steered, steer};
use super::facts::Look;
use super::gate::Visitor;
use super::reply::{self, Body, HTML, JSON, METRICS, PLAIN, Rendered};
use super::sites::Site;
use super::target::{Target, Wanted};
use super::{form, guard, live, random_text};
use crate::control::Control;
use crate::observe::{self, Document, Form, Selection, Settings, StatRequest, prometheus};

/// Who asks, and where.
pub(super) struct Client {
    pub(super) control: Weak<Control>,
    /// The settings in force; a reload changes them under an open connection.
    pub(super) site: Rc<RefCell<Rc<Site>>>,
    /// Of the connection; `None` = a worker's.
    pub(super) peer: Option<IpAddr>,
    /// It speaks TLS with us.
    pub(super) secure: bool,
    /// Its sender is gone when the place closes.
    pub(super) closed: watch::Receiver<()>,
}

/// A thousand servers, all of them chosen, fit.
const FORM_MAX: usize = 64 << 10;
const FORM_TIME: Duration = Duration::from_secs(10);

/// A request let in.
struct Visit<'a> {
    control: &'a Rc<Control>,
    site: &'a Site,
    target: Target<'a>,
    visitor: Visitor,
    zip: bool,
    is_head: bool,
    secure: bool,
}

/// Answers it; every error has an answer, too.
pub(super) async fn answer(client: &Client, request: Request<Incoming>) -> Response<Body> {
    let site = Rc::clone(&client.site.borrow());
    let Some(control) = client.control.upgrade() else {
        return reply::response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, "ending\n");
    };
    let (head, body) = request.into_parts();
    let text = head.uri.path_and_query().map_or("/", |text| text.as_str());
    let target = Target::parse(text, &site.page);
    if target.wanted == Wanted::Nothing {
        return nothing(&site, text);
    }
    let is_form = head.method == Method::POST && target.wanted != Wanted::Metrics;
    let is_look = matches!(head.method, Method::GET | Method::HEAD);
    if !is_look && !is_form {
        let is_page = target.wanted != Wanted::Metrics;
        return reply::not_allowed(if is_page {
            "GET, HEAD, POST"
        } else {
            "GET, HEAD"
        });
    }
    let authorization = head.headers.get(AUTHORIZATION);
    let authorization = authorization.map(HeaderValue::as_bytes);
    let Some(visitor) = site.gate.admit(authorization).await else {
        return reply::who_are_you();
    };
    if visitor.weak {
        site.weak.set(true);
    }
    let visit = Visit {
        control: &control,
        site: &site,
        target,
        visitor,
        zip: reply::takes_gzip(&head.headers),
        is_head: head.method == Method::HEAD,
        secure: client.secure,
    };
    if is_form {
        let peer = peer(client.peer, &site, &head.headers);
        return visit.form(&head.headers, body, peer).await;
    }
    match visit.target.wanted {
        Wanted::Table(form) => visit.table(form).await,
        Wanted::Schema => reply::response(StatusCode::OK, JSON, observe::schema()),
        Wanted::State => visit.state().await,
        Wanted::Events => visit.events(&client.closed),
        Wanted::Metrics => visit.metrics().await,
        Wanted::Page | Wanted::Nothing => visit.page().await,
    }
}

/// On its own listener the page is easy to find.
fn nothing(site: &Site, text: &str) -> Response<Body> {
    if site.own && text == "/" {
        return reply::see_other(&site.page.path);
    }
    let text = match site.own {
        true => format!("The stats page is at {}\n", site.page.path),
        false => "Not here.\n".to_owned(),
    };
    reply::response(StatusCode::NOT_FOUND, PLAIN, text)
}

/// Of a connection that a worker made, what the worker says: the last address of
/// X-Forwarded-For is the one it has put there.
fn peer(peer: Option<IpAddr>, site: &Site, headers: &HeaderMap) -> Option<IpAddr> {
    let said = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?;
        let last = last.to_str().ok()?.rsplit(',').next()?;
        last.trim().parse().ok()
    };
    peer.or_else(|| site.forwarded.then(said).flatten())
}

impl Visit<'_> {
    async fn page(&self) -> Response<Body> {
        let (look, trails) = (Look::take(self.control), self.control.trails());
        let (settings, zip) = (self.settings(), self.zip);
        render(move || {
            let nonce = random_text();
            let document = Document {
                nonce: &nonce,
                settings: &settings,
                node: &look.snapshot.process.node,
                state: &look.state(),
                trails: &trails,
            };
            Rendered::new(HTML, document.html(), zip).with_policy(Document::policy(&nonce))
        })
        .await
    }

    fn settings(&self) -> Settings {
        let (page, target) = (&self.site.page, &self.target);
        let mut warnings = match self.site.exposed {
            true => page.concerns(),
            false => Vec::new(),
        };
        if self.site.exposed && self.site.weak.get() && warnings.is_empty() {
            let weak = "somebody comes in here with a password that everybody tries first";
            warnings.push(weak.to_owned());
        }
        Settings {
            path: page.path.clone(),
            admin: page.admin,
            token: match page.admin {
                true => self.control.stats.token.clone(),
                false => String::new(),
            },
            refresh: match target.norefresh {
                true => 0,
                false => page.refresh.map_or(0, |refresh| refresh.as_secs()),
            },
            metrics: page.metrics.clone(),
            warnings,
            user: self.visitor.name.clone(),
            outcome: target.outcome.map(str::to_owned),
            scope: target.scope.to_owned(),
            up: target.up,
            no_maint: target.no_maint,
        }
    }

    async fn table(&self, form: Form) -> Response<Body> {
        let request = StatRequest {
            form,
            hide_down: self.target.up,
            hide_maint: self.target.no_maint,
            scope: self.target.scope.to_owned(),
            ..StatRequest::default()
        };
        let (snapshot, zip) = (self.control.snapshot(), self.zip);
        let kind = if form == Form::Json { JSON } else { PLAIN };
        let rendered = render(move || {
            // No proxy is named, so none is missing.
            let text = observe::stat(&snapshot, &request).unwrap_or_default();
            Rendered::new(kind, text, zip)
        });
        self.with_refresh(rendered.await)
    }

    async fn state(&self) -> Response<Body> {
        let (look, zip) = (Look::take(self.control), self.zip);
        render(move || Rendered::new(JSON, look.state().whole(), zip)).await
    }

    fn events(&self, place: &watch::Receiver<()>) -> Response<Body> {
        if self.is_head {
            return reply::response(StatusCode::OK, reply::EVENTS, "");
        }
        match live::join(self.control, place) {
            Some(events) => reply::live(events),
            None => {
                let text = "too many look already; the page looks again by itself\n";
                let mut response = reply::response(StatusCode::SERVICE_UNAVAILABLE, PLAIN, text);
                let later = HeaderValue::from_static("30");
                response.headers_mut().insert(RETRY_AFTER, later);
                response
            }
        }
    }

    async fn metrics(&self) -> Response<Body> {
        let selection = Selection::parse(self.target.query);
        let (snapshot, zip) = (self.control.snapshot(), self.zip);
        render(move || Rendered::new(METRICS, prometheus(&snapshot, &selection), zip)).await
    }

    /// HAProxy's way to make a client come again.
    fn with_refresh(&self, mut response: Response<Body>) -> Response<Body> {
        let refresh = self.site.page.refresh.filter(|_| !self.target.norefresh);
        if let Some(refresh) = refresh {
            let seconds = HeaderValue::from(refresh.as_secs());
            response.headers_mut().insert(REFRESH, seconds);
        }
        response
    }

    async fn form(
        &self,
        headers: &HeaderMap,
        body: Incoming,
        peer: Option<IpAddr>,
    ) -> Response<Body> {
        let asked = Asked {
            user: self.visitor.name.as_deref(),
            peer,
        };
        let steered = self.steer(headers, body, &asked).await;
        let accepts = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
        let code = steered.outcome.code();
        if accepts != Some(JSON) {
            return reply::see_other(&self.target.back(&self.site.page, code));
        }
        let text = serde_json::json!({ "outcome": code, "more": steered.more });
        reply::response(StatusCode::OK, JSON, text.to_string())
    }

    async fn steer(&self, headers: &HeaderMap, body: Incoming, asked: &Asked<'_>) -> Steered {
        if !self.site.page.admin {
            return Outcome::Denied.into();
        }
        let body = Limited::new(body, FORM_MAX).collect();
        let form = match timeout(FORM_TIME, body).await {
            Ok(Ok(body)) => form::parse(&body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Outcome::TooLong.into();
            }
            _ => None,
        };
        let Some(form) = form else {
            return Outcome::Invalid.into();
        };
        let token = form.token.as_deref();
        if !guard::may_steer(headers, token, &self.control.stats.token, self.secure) {
            tracing::warn!(
                user = asked.user,
                peer = asked.peer.map(|peer| peer.to_string()),
                "stats page: a form that was not sent by the page is refused"
            );
            return Outcome::Denied.into();
        }
        steer(self.control, &form, asked).await
    }
}

/// Renders on a thread that may take its time.
async fn render(make: impl FnOnce() -> Rendered + Send + 'static) -> Response<Body> {
    match tokio::task::spawn_blocking(make).await {
        Ok(rendered) => rendered.into_response(),
        Err(_) => reply::response(
            StatusCode::INTERNAL_SERVER_ERROR,
            PLAIN,
            "internal error, see the log\n",
        ),
    }
}
