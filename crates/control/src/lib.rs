//! HANDS: caches, queues, executor; one thin shell per controller.
