"""The parts that all commands share: options, output and errors."""
