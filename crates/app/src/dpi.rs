//! Who finds applications out: libndpi, or what is left where a build is without it.

use std::sync::{Arc, OnceLock};

use flowsonde_elements::{Template, table};
use flowsonde_engine::decode::applications::Vocabulary;
use flowsonde_engine::fill::Names;
use flowsonde_engine::meter::application::{ByAddress, ByPort, Dissection, Limits};
use flowsonde_engine::meter::config::{Known, Wanted};

use crate::flags::Options;
use crate::flags::application;
use crate::stop::Stop;

#[cfg(feature = "ndpi")]
mod ndpi;
#[cfg(not(feature = "ndpi"))]
#[path = "dpi/without.rs"]
mod ndpi;

/// What a record holds where nobody says: with the application, where it is found out.
pub fn default_template(options: &Options) -> Template {
    let applications = Dpi::by_default(options).then_some(&table::L7_PROTO);
    Template::default().iter().chain(applications).collect()
}

static VOCABULARY: OnceLock<Arc<Vocabulary>> = OnceLock::new();

/// The names of applications that exporters tell: one for all desks and outputs, made when first asked for. With nDPI's
/// names, which are the same every time.
pub fn vocabulary(protocols: &[String]) -> Arc<Vocabulary> {
    Arc::clone(VOCABULARY.get_or_init(|| Arc::new(Vocabulary::new(protocols))))
}

/// The same, if it was asked for.
pub fn wanted_vocabulary() -> Option<Arc<Vocabulary>> {
    VOCABULARY.get().cloned()
}

/// True where a record holds the name that its exporter has for the application, which needs no nDPI.
pub fn tells_exporters_names(template: &Template) -> bool {
    template.iter().any(|element| element.is_same_as(&table::APPLICATION_NAME))
}

/// What meters are given to find applications out.
#[derive(Debug)]
pub struct Dpi {
    options: application::Application,
    limits: Limits,
    names: Arc<Names>,
}

impl Dpi {
    /// Whether applications are found out where nobody asks: libndpi is built in, and not turned off.
    pub fn by_default(options: &Options) -> bool {
        ndpi::BUILT_IN && !options.application.none
    }

    /// Opens a detector to see that it works, and asks what it calls its numbers.
    pub fn open(options: &Options) -> Result<Dpi, Stop> {
        let packets = options.application.packets;
        // Of the packet behind the last one the verdict is asked for.
        let limits = Limits { tcp: packets.tcp.saturating_add(1), other: packets.other.saturating_add(1) };
        let options = options.application.clone();
        let names = Arc::new(ndpi::names(&options)?);
        Ok(Dpi { options, limits, names })
    }

    /// A detector for one meter.
    pub fn dissection(&self) -> Result<Dissection, Stop> {
        let dissection = Dissection::new(ndpi::detector(&self.options)?, self.limits);
        Ok(if self.options.fast { dissection.trusting(crate::secret::random()) } else { dissection })
    }

    /// What flows of which nobody saw a packet are taken for.
    pub fn by_port(&self) -> Result<ByPort, Stop> {
        Ok(ByPort::ask(&mut *ndpi::detector(&self.options)?))
    }

    /// The same by their addresses, where ports tell nothing.
    pub fn by_address(&self) -> Result<Option<Arc<ByAddress>>, Stop> {
        Ok(ndpi::addresses(&self.options)?.map(|addresses| Arc::new(ByAddress::new(addresses))))
    }

    /// Where names are kept that exporters have for applications.
    pub fn vocabulary(&self) -> Arc<Vocabulary> {
        vocabulary(&self.names.protocols)
    }

    /// What numbers are called.
    pub fn names(&self) -> Arc<Names> {
        Arc::clone(&self.names)
    }

    /// Which flows are exported.
    pub fn chosen(&self) -> Result<Wanted, Stop> {
        let known = match self.options.known {
            application::Known::All => Known::All,
            application::Known::Only => Known::Only,
            application::Known::Never => Known::Never,
        };
        let only = self.options.only.iter().map(|name| self.number(name)).collect::<Result<Vec<u16>, Stop>>()?;
        Ok(Wanted { known, only: (!only.is_empty()).then_some(only) })
    }

    fn number(&self, name: &str) -> Result<u16, Stop> {
        let protocols = &self.names.protocols;
        let found = match name.parse::<usize>() {
            Ok(number) => (number < protocols.len()).then_some(number),
            Err(_) => protocols.iter().position(|known| known.eq_ignore_ascii_case(name)),
        };
        found.and_then(|number| u16::try_from(number).ok()).ok_or_else(|| {
            Stop::Usage(format!(
                "-O/--ndpi-protocols={name}: nDPI has no such protocol; give one name or number, like TLS or Google of \
                 TLS.Google"
            ))
        })
    }
}
