//! A template as users write it. What is read and written out is read as the same again.
#![no_main]

use flowsonde_elements::{Mode, Template};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for mode in [Mode::Probe, Mode::Collector] {
        match Template::parse(text, mode) {
            Ok(template) => {
                let names: Vec<_> = template.iter().map(|element| format!("%{}", element.name)).collect();
                let again = Template::parse(&names.join(" "), mode).expect("names of elements");
                assert_eq!(again, template);
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
});
