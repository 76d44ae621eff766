"""How late a camera is: from the exposure to the stamp that the runtime takes for it."""
