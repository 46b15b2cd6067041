"""The Clopos Open API: HTTP and Clopos' words, and nothing about tables or orchestration."""
