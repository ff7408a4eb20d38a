//! `completions`, and what is told where nothing can be done: wrong command lines, nobody there.

use lab::stack::ports;

use super::ask;

#[tokio::test]
async fn every_shell_gets_completions_that_know_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let answer = ask(&["completions", shell]).await;
        assert_eq!(answer.code, 0, "{answer:?}");
        for word in ["explain", "doctor", "parked", "progress-topic"] {
            assert!(answer.text.contains(word), "{word} is missing for {shell}");
        }
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_told_at_once_with_code_2_and_without_secrets() {
    let answer =
        ask(&["run", "--sources", "main=mysql://root:hunter2@h/d", "--page-rows", "0"]).await;
    assert_eq!(answer.code, 2, "{answer:?}");
    for part in ["RELAY_SOURCES", "RELAY_PAGE_ROWS", "KAFKA_BROKERS", "postgres://"] {
        assert!(answer.errors.contains(part), "{part} is missing: {}", answer.errors);
    }
    assert!(!answer.errors.contains("hunter2"), "{}", answer.errors);
    let sources = "a=postgres://h/a,b=postgres://h/b";
    let several = ["parked", "show", "t", "k", "--sources", sources, "--kafka-brokers", "h:1"];
    let answer = ask(&several).await;
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.errors.contains("(a, b): name one with --source"), "{}", answer.errors);
}

#[tokio::test]
async fn init_and_topics_say_in_one_line_that_nobody_is_there_and_what_to_do() {
    let nowhere = format!("127.0.0.1:{}", ports::free().unwrap());
    let url = format!("postgres://postgres@{nowhere}/x");
    let cases = [
        (["init", "--database-url", &url], "no PostgreSQL listens"),
        (["topics", "--kafka-brokers", &nowhere], "no Kafka broker answers"),
    ];
    for (arguments, said) in cases {
        let answer = ask(&arguments).await;
        assert!(answer.code == 1 && answer.errors.lines().count() == 1, "{answer:?}");
        assert!(answer.errors.contains(said), "{answer:?}");
    }
}
