//! What was done, as a line or as JSON.

use std::fmt::Write;
use std::time::Duration;

/// What was done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Flows in them; none when they were replayed, as their flows are not counted.
    pub flows: Option<u64>,
    /// Bytes of their payloads.
    pub bytes: u64,
    /// How long it took.
    pub time: Duration,
    /// User and system time.
    pub cpu: Duration,
    /// Flows (datagrams, when replayed) the system did not take, by reason.
    pub lost: Vec<(&'static str, u64)>,
    /// Datagrams, and flows in them, left out on purpose.
    pub left_out: (u64, u64),
    /// UDP packets of captures that could not be replayed.
    pub skipped: u64,
    /// Datagrams the receiver's socket dropped meanwhile, where it can be seen.
    pub dropped: Option<u64>,
}

impl Report {
    fn per_second(&self, count: u64) -> f64 {
        let seconds = self.time.as_secs_f64();
        if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
    }

    /// One line for people.
    pub fn line(&self) -> String {
        let mut text = format!("{} datagrams, ", self.datagrams);
        if let Some(flows) = self.flows {
            let _ = write!(text, "{flows} flows, ");
        }
        let _ = write!(text, "{} bytes in {:.2} s: ", self.bytes, self.time.as_secs_f64());
        if let Some(flows) = self.flows {
            let _ = write!(text, "{:.0} flows/s, ", self.per_second(flows));
        }
        let _ = write!(text, "{:.0} datagrams/s", self.per_second(self.datagrams));
        let _ = write!(text, "; {:.2} s CPU", self.cpu.as_secs_f64());
        if self.left_out.0 > 0 {
            let _ = write!(text, "; {} datagrams left out on purpose", self.left_out.0);
        }
        if self.skipped > 0 {
            let _ = write!(text, "; {} fragments or cut-off packets skipped", self.skipped);
        }
        for (reason, count) in &self.lost {
            let _ = write!(text, "; {count} lost ({reason})");
        }
        if let Some(dropped) = self.dropped.filter(|dropped| *dropped > 0) {
            let _ = write!(text, "; {dropped} datagrams dropped by the receiver's socket");
        }
        text.push('\n');
        text
    }

    /// One JSON object for programs.
    pub fn json(&self) -> String {
        let mut text = format!("{{\"datagrams\":{}", self.datagrams);
        if let Some(flows) = self.flows {
            let _ = write!(text, ",\"flows\":{flows},\"flows_per_second\":{:.1}", self.per_second(flows));
        }
        let lost: Vec<String> = self.lost.iter().map(|(reason, count)| format!("\"{reason}\":{count}")).collect();
        let _ = write!(
            text,
            ",\"datagrams_per_second\":{:.1},\"bytes\":{},\"seconds\":{:.6},\"cpu_seconds\":{:.6},\"lost\":{{{}}}",
            self.per_second(self.datagrams),
            self.bytes,
            self.time.as_secs_f64(),
            self.cpu.as_secs_f64(),
            lost.join(","),
        );
        let _ = write!(text, ",\"left_out\":{{\"datagrams\":{},\"flows\":{}}}", self.left_out.0, self.left_out.1);
        let dropped = self.dropped.map_or_else(|| "null".to_owned(), |dropped| dropped.to_string());
        let _ = writeln!(text, ",\"skipped\":{},\"receiver_drops\":{dropped}}}", self.skipped);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_tell_the_same() {
        let report = Report {
            datagrams: 10,
            flows: Some(240),
            bytes: 13_680,
            time: Duration::from_millis(500),
            cpu: Duration::from_millis(10),
            lost: vec![("too_long", 2)],
            left_out: (1, 24),
            skipped: 0,
            dropped: Some(3),
        };
        assert_eq!(
            report.line(),
            "10 datagrams, 240 flows, 13680 bytes in 0.50 s: 480 flows/s, 20 datagrams/s; 0.01 s CPU; 1 datagrams left \
             out on purpose; 2 lost (too_long); 3 datagrams dropped by the receiver's socket\n"
        );
        let value: serde_json::Value = serde_json::from_str(&report.json()).unwrap();
        assert_eq!((value["flows"].as_u64(), value["lost"]["too_long"].as_u64()), (Some(240), Some(2)));
        assert_eq!(value["receiver_drops"].as_u64(), Some(3));
        let replayed: serde_json::Value = serde_json::from_str(&Report::default().json()).unwrap();
        assert!(replayed["flows"].is_null() && replayed["receiver_drops"].is_null());
    }
}
