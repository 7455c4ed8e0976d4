"""The parts that all set-up commands share: options, output and errors."""
